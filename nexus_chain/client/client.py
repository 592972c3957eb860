"""A user of the network: a wallet, a home folder, a deployment.

contracts = Contracts.connect(rpc_url, deployment, wallet)
with Client(contracts, ClientHome.from_environment(), dial) as client:
    asking = client.ask_direct(version, files, "def fib(n):")
    for piece in asking: print(piece, end="")
    print(asking.answer.cost_wei)
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import WalletError
from nexus_chain.chain.transactions import Mined, Sender
from nexus_chain.client.answer import Answer, Transaction
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.home import ClientHome
from nexus_chain.client.network import ClientRoute, route_over
from nexus_chain.client.order import AskOptions
from nexus_chain.client.session import (
    Asking,
    OnFailover,
    Request,
    Session,
    Surroundings,
    chain_state,
    chain_time,
    naming,
    quoted,
)
from nexus_chain.client.session_key import new_key, save_key
from nexus_chain.client.store import CLOSED, OPEN, ClientStore, LineRecord, SessionRecord
from nexus_chain.evidence.proof import InferenceProof, generate_proof
from nexus_chain.market.documents import CHUNK_POSITIONS, Domain, Line
from nexus_chain.routing.liability import choose_covered, with_exposure
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.wire.peer import Dial

SESSION_SECONDS = 3600
"""Default life of a session, unless the market's longest one is shorter."""
DIRECT_SECONDS = 900


class Client:
    """Opens sessions and asks. Close it, or use it as a context manager."""

    def __init__(self, contracts: Contracts, home: ClientHome, dial: Dial) -> None:
        self.contracts = contracts
        self._around = Surroundings(contracts, home.prepare(), ClientStore(home.database), dial)
        self.store = self._around.store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the database."""
        self.store.close()

    @property
    def _sender(self) -> Sender:
        if self.contracts.sender is None:
            raise WalletError("this needs a wallet", advice="Create one with `nexus wallet new`, or give --wallet.")
        return self.contracts.sender

    # ---------------------------------------------------------------- sessions

    def open_session(
        self,
        version: bytes,
        files: ModelFiles,
        *,
        tokens: int,
        seconds: int = SESSION_SECONDS,
        value_at_risk: int = 0,
        operators: Sequence[str] = (),
    ) -> tuple[Session, Mined]:
        """Lock money for ``tokens`` positions at each node of the best route; spares are funded when needed.

        ``value_at_risk``: wei that each node's stake has to cover, if that is more than its cap. ``operators``: the
        only nodes that may ever take part in the session, spares included. Raises StakeTooSmallError.
        """

        def choose(nodes: Sequence[ShardNode]) -> dict[str, Line]:
            with naming(operators, files.program.shape.layers):
                return {cap.node: cap for cap in _caps(route_over(nodes, files.program), tokens)}

        def added(caps: dict[str, Line], node: ShardNode) -> int | None:
            return max(caps[node.node_id].cumulative, value_at_risk) if node.node_id in caps else None

        caps = list(choose_covered(self._nodes(version, operators), choose, added).values())
        record, nonce = self._new_session(version, seconds, caps, direct=False)
        self.store.name_operators(record.id, operators)
        _, mined = self.contracts.market.open(record.signer, record.expiry, caps, nonce)
        return self._opened(record, files), mined

    def session(self, session: bytes, files: ModelFiles) -> Session:
        """A session that this machine opened, as the chain has it now. Raises SessionStateError."""
        record = self.store.session(session)
        if (record.chain_id, record.market) != (self._domain.chain_id, self._domain.verifying_contract):
            raise SessionStateError(
                f"session 0x{session.hex()} lives on chain {record.chain_id} at {record.market}",
                advice="Give that chain's --rpc and --deployment.",
            )
        return Session(self._around, record, files).refresh()

    def sessions(self) -> list[SessionRecord]:
        """This deployment's sessions with their state on the chain, oldest first."""
        domain = self._domain
        mine = [
            r for r in self.store.sessions() if (r.chain_id, r.market) == (domain.chain_id, domain.verifying_contract)
        ]
        return [SessionRecord(**{**vars(r), "state": chain_state(self._around, r)}) for r in mine]

    @property
    def _domain(self) -> Domain:
        return self.contracts.domain

    def _nodes(self, version: bytes, operators: Sequence[str]) -> list[ShardNode]:
        return with_exposure(self._around.nodes(version, operators), self._around.exposures())

    def _new_session(
        self, version: bytes, seconds: int, caps: Sequence[Line], *, direct: bool
    ) -> tuple[SessionRecord, bytes]:
        """Key, nonce and id of a session, all on disk before any transaction."""
        market, nonce = self.contracts.market, secrets.token_bytes(32)
        user = self._sender.wallet.address
        signer = save_key(self._around.home.session_keys, new_key())
        # The last minute is left to the transaction itself: the contract counts from its own block.
        longest = market.longest_session() - 60 if market.longest_session() > 120 else market.longest_session() // 2
        record = SessionRecord(
            market.session_id(user, nonce),
            self._domain.chain_id,
            self._domain.verifying_contract,
            user,
            signer,
            version,
            chain_time(self._around) + min(seconds, longest),
            direct,
        )
        self.store.add_session(record, [LineRecord(cap.node, cap.cumulative) for cap in caps])
        return record, nonce

    def _opened(self, record: SessionRecord, files: ModelFiles) -> Session:
        self.store.set_session_state(record.id, OPEN)
        return Session(self._around, replace(record, state=OPEN), files)

    # ------------------------------------------------------------------ asking

    def ask_direct(
        self,
        version: bytes,
        files: ModelFiles,
        text: str,
        options: AskOptions | None = None,
        on_failover: OnFailover = lambda event: None,
    ) -> Asking:
        """Pay for one inference on-chain: a session of one order, opened and funded in one transaction.

        Close it afterwards with ``close_direct``. Raises as ``Session.ask`` and UnfundedWalletError.
        """
        options = (options or AskOptions()).for_model(files.program)
        prompt = files.prompt_of(text, options.max_tokens)
        request = self._request(version, files, text, prompt, options)
        caps = _caps(request.route, request.offer.positions)
        record, nonce = self._new_session(version, DIRECT_SECONDS, caps, direct=True)
        session = Session(self._around, record, files)
        order = session.order_for(request)
        digest = order.digest(self._domain)
        _, mined = self.contracts.market.pay_per_inference(record.signer, record.expiry, caps, nonce, digest)
        asking = self._opened(record, files).run(order, request, on_failover)
        asking.transactions.append(Transaction.of("payPerInference", mined))
        return asking

    def _request(
        self, version: bytes, files: ModelFiles, text: str, prompt: Sequence[int], options: AskOptions
    ) -> Request:
        """``text`` with a route over nodes whose stakes cover the order."""

        def choose(nodes: Sequence[ShardNode]) -> Request:
            with naming(options.operators, files.program.shape.layers):
                return quoted(text, prompt, route_over(nodes, files.program), options)

        def added(request: Request, node: ShardNode) -> int | None:
            locked = node.wei_per_token * (request.offer.positions + CHUNK_POSITIONS)
            return max(locked, request.value_at_risk) if request.route.names(node.node_id) else None

        return choose_covered(self._nodes(version, options.operators), choose, added)

    def close_direct(self, answer: Answer) -> Transaction:
        """Start the challenge window of a direct answer's session, so that the rest of the money comes back."""
        mined = self.contracts.market.close(answer.session)
        self.store.set_session_state(answer.session, CLOSED)
        return Transaction.of("close", mined)

    def proof_of(self, order_digest: bytes) -> InferenceProof:
        """The evidence of an order asked from this machine, from the store."""
        record = self.store.order(order_digest)
        signer = self.store.session(record.order.session).signer
        return generate_proof(record, signer, self._domain, self.contracts.nodes.receipt_key_of)

    # ------------------------------------------------------------------- money

    def withdraw(self) -> tuple[int, Mined | None]:
        """Fetch what the market owes the wallet; (0, None) when there is nothing."""
        owed = self.contracts.market.balance_of(self._sender.wallet.address)
        return (owed, self.contracts.market.withdraw()) if owed else (0, None)


def _caps(route: ClientRoute, positions: int) -> list[Line]:
    """One cap per primary node. A chunk above what is asked for: a node closes a line that it has used up."""
    needed: dict[str, int] = {}
    for candidates, ask in zip(route.segments, route.asks, strict=True):
        node = candidates[0].address
        needed[node] = needed.get(node, 0) + max(1, ask.wei_per_token * (positions + CHUNK_POSITIONS))
    return [Line(node, wei) for node, wei in needed.items()]
