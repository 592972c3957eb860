"""One running node, put together: keys, chain, shard, state, engine, server, settlement.

Built in the order in which a mistake is cheapest to find; torn down so that nothing is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from nexus_chain.chain.contracts import Contracts
from nexus_chain.folder_lock import exclusive
from node.daemon.asking_price import policy_price
from node.daemon.chain_settings import connect_contracts, terms_of
from node.daemon.chain_view import ChainView
from node.daemon.configuration import NodeConfiguration
from node.daemon.data_folder import traces_path
from node.daemon.identity import Identity, NodeKeys
from node.daemon.offline_node import OfflineNode
from node.daemon.served_model import ServedModel
from node.daemon.serving.shard_server import ShardServer
from node.daemon.serving.shard_service import ShardService
from node.daemon.shard_loading import load_shard, shard_engine
from node.daemon.upkeep.background_duty import BackgroundDuty, attempt
from node.daemon.upkeep.defence import Defence
from node.daemon.upkeep.readiness import require_not_serving
from node.daemon.upkeep.receipt_root import post_root
from node.daemon.upkeep.registration import announce, announced_price, require_registered
from node.daemon.upkeep.settle import Settler
from node.daemon.upkeep.traces import TraceStore

log = logging.getLogger(__name__)

#: Seconds that calls under way get to finish once no new ones are taken.
_GRACE = 5.0
DEFENCE_FAILURE = "disputes could not be looked at"
ROOT_FAILURE = "the receipt log's root was not posted"


def defence_interval(contracts: Contracts, configuration: NodeConfiguration) -> float:
    """Seconds between looks for disputes: several within the shortest turn, whatever the settings say."""
    return min(configuration.settle_interval, contracts.nodes.timing().minimum_move / 4)


def commit_receipts(contracts: Contracts, identity: Identity, core: OfflineNode) -> None:
    """Bring the receipt log up to date, and its root onto the chain where it grew.

    Only the account that staked may commit a root; no dispute depends on it.
    """
    core.serving.log_waiting()
    said = post_root(contracts, identity.address, core.receipts) if identity.has_stake else None
    if said:
        log.info(said)


@dataclass(frozen=True)
class RunningNode:
    """A node that serves until ``stop``."""

    configuration: NodeConfiguration
    identity: Identity
    model: ServedModel
    port: int
    core: OfflineNode
    settler: Settler
    _contracts: Contracts
    _server: ShardServer
    _duties: tuple[BackgroundDuty, ...]

    @property
    def address(self) -> str:
        """Who is paid."""
        return self.identity.address

    @classmethod
    @contextmanager
    def serving(cls, configuration: NodeConfiguration, keys: NodeKeys) -> Iterator[RunningNode]:
        """Start a node, and stop it cleanly when the block ends, however it ends."""
        with exclusive(configuration.data):
            node = cls._start(configuration, keys)
            try:
                yield node
            finally:
                node.stop()

    @classmethod
    def _start(cls, configuration: NodeConfiguration, keys: NodeKeys) -> RunningNode:
        host, port = configuration.listen_address
        contracts = connect_contracts(configuration, keys.wallet)
        require_not_serving(require_registered(contracts, keys), keys.tls.key_hash)
        block, model = load_shard(contracts, configuration)
        engine = shard_engine(block, configuration)
        identity, terms = keys.identity, terms_of(contracts, configuration)
        address = identity.address
        if not identity.has_stake:
            model = replace(model, wei_per_token=announced_price(contracts, address, model))
        elif configuration.price is None:
            model = replace(model, wei_per_token=policy_price(block, engine))
        view = ChainView(contracts, address)
        view.head()  # notes the chain's time
        core = OfflineNode.open(
            configuration.data, identity, model, engine, view, contracts.domain, terms, configuration.orders
        )
        try:
            server = ShardServer(lambda: ShardService(core.serving), keys.tls, host, port)
        except BaseException:
            core.close()
            raise
        settler = Settler(
            contracts, address, core.ledger, view, core.serving,
            withdraw_above=configuration.withdraw_above, has_stake=identity.has_stake,
        )  # fmt: skip
        traces = TraceStore(traces_path(configuration.data), configuration.trace_limit_bytes)
        defence = Defence(contracts, contracts.disputes, identity, core.ledger, core.rows, block, view, traces)
        post = partial(commit_receipts, contracts, identity, core)
        duties = (
            BackgroundDuty("settle", configuration.settle_interval, settler.round, "settling has to wait"),
            BackgroundDuty("defence", defence_interval(contracts, configuration), defence.round, DEFENCE_FAILURE),
            BackgroundDuty("receipt-root", configuration.post_root_every, post, ROOT_FAILURE),
        )
        node = cls(configuration, identity, model, server.port, core, settler, contracts, server, duties)
        node._begin()
        return node

    def _begin(self) -> None:
        """What needs the chain once the port is open; a failure stops the node again."""
        try:
            said = announce(self._contracts, self.address, self.model) if self.identity.has_stake else None
            if said:
                log.info(said)
            for duty in self._duties:
                duty.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let open chunks end, take no more, post what was earned and the log's root, close the files."""
        self.core.serving.drain(self.configuration.drain)
        self._server.stop(_GRACE)
        for duty in self._duties:
            duty.stop()
        # The log's files are closed whatever an RPC server answers.
        attempt(self.settler.post_all, "vouchers stay unposted, start this node again before their sessions end")
        attempt(partial(commit_receipts, self._contracts, self.identity, self.core), ROOT_FAILURE)
        self.core.close()
