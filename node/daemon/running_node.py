"""One running node, put together: keys, chain, shard, state, engine, server, settlement.

Built in the order in which a mistake is cheapest to find; torn down so that nothing is lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nexus_chain.chain.contracts import Contracts
from nexus_chain.errors import NexusError
from node.daemon.chain_settings import connect, terms_of
from node.daemon.configuration import NodeConfiguration
from node.daemon.data_folder import exclusive, traces_path
from node.daemon.identity import NodeKeys
from node.daemon.recovery import Core
from node.daemon.served_model import ServedModel
from node.daemon.serving.serving import Identity
from node.daemon.serving.shard_server import ShardServer
from node.daemon.serving.shard_service import ShardService
from node.daemon.shard_loading import load_shard, shard_engine
from node.daemon.upkeep.chain_view import ChainView
from node.daemon.upkeep.defence import Defence
from node.daemon.upkeep.receipt_root import post_root
from node.daemon.upkeep.registration import announce, require_registered
from node.daemon.upkeep.settle import Settler
from node.daemon.upkeep.traces import TraceStore

log = logging.getLogger(__name__)

#: Seconds that calls under way get to finish once no new ones are taken.
_GRACE = 5.0


def defence_interval(contracts: Contracts, configuration: NodeConfiguration) -> float:
    """Seconds between looks for disputes: several within the shortest turn, whatever the settings say."""
    return min(configuration.settle_interval, contracts.nodes.timing().minimum_move / 4)


@dataclass(frozen=True)
class RunningNode:
    """A node that serves until ``stop``."""

    configuration: NodeConfiguration
    address: str
    model: ServedModel
    port: int
    core: Core
    settler: Settler
    defence: Defence
    _contracts: Contracts
    _server: ShardServer
    _roots: threading.Event

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
        contracts = connect(configuration, keys.wallet)
        require_registered(contracts, keys)
        block, model = load_shard(contracts, configuration)
        engine = shard_engine(block, configuration)
        address = keys.wallet.address
        view = ChainView(contracts, address)
        view.look_at_clock()
        identity, terms = Identity(address, keys.receipt_key), terms_of(contracts, configuration)
        core = Core.open(
            configuration.data, identity, model, engine, view, contracts.domain, terms, configuration.orders
        )
        try:
            server = ShardServer(lambda: ShardService(core.serving), keys.tls, host, port)
        except BaseException:
            core.close()
            raise
        settler = Settler(
            contracts,
            address,
            core.ledger,
            view,
            core.serving,
            interval=configuration.settle_interval,
            withdraw_above=configuration.withdraw_above,
        )
        defence = Defence(
            contracts,
            contracts.disputes,
            identity,
            core.ledger,
            core.rows,
            block,
            view,
            TraceStore(traces_path(configuration.data), configuration.trace_limit_bytes),
            interval=defence_interval(contracts, configuration),
        )
        node = cls(
            configuration, address, model, server.port, core, settler, defence, contracts, server, threading.Event()
        )
        node._begin()
        return node

    def _begin(self) -> None:
        """What needs the chain once the port is open; a failure stops the node again."""
        try:
            said = announce(self._contracts, self.address, self.model)
            if said:
                log.info(said)
            self.settler.start()
            self.defence.start()
            threading.Thread(target=self._post_roots, name="receipt-root", daemon=True).start()
        except BaseException:
            self.stop()
            raise

    def _post_roots(self) -> None:
        while not self._roots.wait(self.configuration.post_root_every):
            self._quietly_post_root()

    def _quietly_post_root(self) -> None:
        try:
            self.core.serving.log_waiting()
            said = post_root(self._contracts, self.address, self.core.receipts)
        except NexusError as error:
            log.warning("the receipt log's root was not posted: %s", error)
        except Exception:
            # Whatever an RPC server answers: the log's files still have to be closed, the next try to be made.
            log.exception("the receipt log's root was not posted")
        else:
            if said:
                log.info(said)

    def stop(self) -> None:
        """Let open chunks end, take no more, post what was earned and the log's root, close the files."""
        self.core.serving.drain(self.configuration.drain)
        self._server.stop(_GRACE)
        self._roots.set()
        self.settler.stop()
        self.defence.stop()
        try:
            self.settler.post_all()
        except NexusError as error:
            log.warning("vouchers stay unposted, start this node again before their sessions end: %s", error)
        except Exception:
            log.exception("vouchers stay unposted, start this node again before their sessions end")
        self._quietly_post_root()
        self.core.close()
