"""A user of the network: a wallet, a home folder, a deployment.

contracts = Contracts.connect(rpc_url, deployment, wallet)
with Client(contracts, ClientHome(nexus_home()), dial) as client:
    stream = client.start_direct(version, files, "def fib(n):")
    for piece in stream: print(piece, end="")
    print(stream.result().cost_wei)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Self

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import WalletError
from nexus_chain.chain.inference_market import AgreedShare
from nexus_chain.chain.transactions import Mined, Sender
from nexus_chain.client.answer import Answer, Transaction
from nexus_chain.client.answer_stream import AnswerStream
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.headroom import wei_to_lock
from nexus_chain.client.home import ClientHome
from nexus_chain.client.lost_openings import OpeningNote, finish_openings
from nexus_chain.client.network import route_over
from nexus_chain.client.nodes_source import FreshNodes, NodesSource
from nexus_chain.client.opening import NewSession, WantedLock, caps_for, prepare_session, share_now
from nexus_chain.client.order import AskOptions
from nexus_chain.client.request import Prompt, Request, blame_choice_of, price_request
from nexus_chain.client.session import OnFailover, Session
from nexus_chain.client.session_states import sessions_with_states
from nexus_chain.client.store import CLOSED, OPEN, ClientStore, StoredSession
from nexus_chain.client.user import User
from nexus_chain.evidence.proof import InferenceProof, generate_proof
from nexus_chain.market.documents import Domain, Line, Order
from nexus_chain.routing.liability import choose_covered
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.wire.peer import Dial

SESSION_SECONDS = 3600
"""Default life of a session, unless the market's longest one is shorter."""
DIRECT_SECONDS = 900


class Client:
    """Opens sessions and asks. Close it, or use it as a context manager."""

    def __init__(self, contracts: Contracts, home: ClientHome, dial: Dial, nodes: NodesSource | None = None) -> None:
        """``nodes``: where nodes come from; None asks the chain and them for every answer, and connects by ``dial``."""
        self.contracts = contracts
        self.store = ClientStore(home.prepare().database)
        self.user = User(contracts, home, self.store, nodes or FreshNodes(contracts, home, self.store, dial))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def use_nodes(self, nodes: NodesSource) -> None:
        """Take nodes from elsewhere from now on; sessions that are there already keep their source."""
        self.user = replace(self.user, nodes=nodes)

    def close(self) -> None:
        """Release the database."""
        self.store.close()

    @property
    def _sender(self) -> Sender:
        if self.contracts.sender is None:
            raise WalletError("this needs a wallet", advice="Create one with `nexus wallet new`, or give --wallet.")
        return self.contracts.sender

    @property
    def _payer(self) -> str:
        """The wallet's address. Its key is there by then: a wrong password is said before anything is written down."""
        self._sender.wallet.require_key()
        return self._sender.wallet.address

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
        allow: Callable[[WantedLock], None] = lambda lock: None,
    ) -> tuple[Session, Mined]:
        """Lock money for ``tokens`` positions at each node of the best route; spares are funded when needed.

        Where an earlier call for the same lost its answer, this one goes on with it and pays nothing again.

        ``value_at_risk``: wei that each node's stake has to cover, if that is more than its cap. ``operators``: the
        only nodes that may ever take part in the session, spares included. ``allow`` is told what is to be locked
        before it is, and raises what keeps it from that. Where the version's publisher gets a share the session is
        opened for the version. Raises StakeTooSmallError, TransactionPendingError.
        """
        request = json.dumps([tokens, seconds, value_at_risk])
        for session, mined in self.lost_sessions(version, files, operators, request):
            return session, mined
        new = self.prepare_session(
            self._payer, version, files, tokens=tokens, seconds=seconds,
            value_at_risk=value_at_risk, operators=operators, allow=allow,
        )  # fmt: skip
        note = self._note(new, request, operators)
        record = new.record
        _, mined = self.contracts.market.open(record.signer, record.expiry, new.caps, new.nonce, note, new.share)
        return self._enter(new.record, files, mined), mined

    def prepare_session(
        self,
        owner: str,
        version: bytes,
        files: ModelFiles,
        *,
        tokens: int,
        seconds: int = SESSION_SECONDS,
        value_at_risk: int = 0,
        operators: Sequence[str] = (),
        allow: Callable[[WantedLock], None] = lambda lock: None,
    ) -> NewSession:
        """The session that ``owner`` can open: its key is on disk, nothing is sent. Arguments and errors as there."""

        def choose(nodes: Sequence[ShardNode]) -> dict[str, Line]:
            with blame_choice_of(operators, files.program.shape.layers):
                return {cap.node: cap for cap in caps_for(route_over(nodes, files.program), tokens)}

        def added(caps: dict[str, Line], node: ShardNode) -> int | None:
            return max(caps[node.node_id].cumulative, value_at_risk) if node.node_id in caps else None

        caps = list(choose_covered(self.user.nodes.candidates(version, operators), choose, added).values())
        share = share_now(self.user, version)
        allow(WantedLock.of(caps, share))
        new = prepare_session(self.user, owner, version, seconds, caps, direct=False, share=share)
        self.store.name_operators(new.record.id, operators)
        return new

    def lost_sessions(
        self, version: bytes, files: ModelFiles, operators: Sequence[str] = (), request: str | None = None
    ) -> Iterator[tuple[Session, Mined]]:
        """Sessions that were paid for by calls that never heard so, open by now. ``request``: only for this one.

        Raises TransactionPendingError where such a payment may still be mined.
        """

        def wanted(note: OpeningNote) -> bool:
            same = note.version == version and sorted(note.operators) == sorted(operators) and not note.direct
            return same and request in (None, note.request)

        for record, mined in finish_openings(self.user, self._sender, wanted):
            yield self._enter(record, files, mined), mined

    def _note(self, new: NewSession, request: str, operators: Sequence[str] = ()) -> str:
        record, caps = new.record, {cap.node: cap.cumulative for cap in new.caps}
        direct = bool(record.direct)
        note = OpeningNote(record.id, record.market, record.model_version, request, tuple(operators), caps, direct)
        return note.to_text()

    def session(self, session: bytes, files: ModelFiles) -> Session:
        """A session that this machine opened, as the chain has it now. Raises SessionStateError."""
        record = self.store.session(session)
        if (record.chain_id, record.market) != (self._domain.chain_id, self._domain.verifying_contract):
            raise SessionStateError(
                f"session 0x{session.hex()} lives on chain {record.chain_id} at {record.market}",
                advice="Give that chain's --rpc and --deployment.",
            )
        return Session(self.user, record, files).refresh()

    def sessions(self) -> list[StoredSession]:
        """This deployment's sessions with their state on the chain, oldest first."""
        return sessions_with_states(self.contracts, self.store, self.user.chain_time)

    @property
    def _domain(self) -> Domain:
        return self.contracts.domain

    def _enter(self, record: StoredSession, files: ModelFiles, mined: Mined) -> Session:
        """The session whose opening was mined; from now on it is found in the store."""
        self.store.set_session_state(record.id, OPEN)
        self._sender.tell(mined)
        return Session(self.user, replace(record, state=OPEN), files)

    # ------------------------------------------------------------------ asking

    def start_direct(
        self,
        version: bytes,
        files: ModelFiles,
        prompt: str | Sequence[int],
        options: AskOptions | None = None,
        on_failover: OnFailover = lambda event: None,
    ) -> AnswerStream:
        """Pay for one inference on-chain: a session of one order, opened and funded in one transaction.

        Reading the answer signs the order and begins. Close it afterwards with ``close_direct``. Raises as
        ``Session.start`` and UnfundedWalletError.
        """
        options = (options or AskOptions()).for_model(files.program)
        share = share_now(self.user, version)
        request = self._request(version, files, Prompt.of(prompt, files, options), options, share)
        caps = caps_for(request.route, request.offer.positions)
        session, order, mined = self._paid(version, files, request, caps, share)
        watch = self.user.nodes.watch(session.id, request.route.addresses)
        session = self._enter(session.record, files, mined)
        stream = session.stream(order, request, watch, on_failover)
        stream.transactions.append(Transaction.of("payPerInference", mined))
        return stream

    def _paid(
        self, version: bytes, files: ModelFiles, request: Request, caps: Sequence[Line], share: AgreedShare | None
    ) -> tuple[Session, Order, Mined]:
        """A session of one order: an earlier call's that never heard of it and has the money, else a new one."""

        def wanted(note: OpeningNote) -> bool:
            return note.direct and note.version == version and note.covers(caps)

        for record, mined in finish_openings(self.user, self._sender, wanted):
            session = Session(self.user, record, files)
            return session, session.order_for(request), mined
        new = prepare_session(self.user, self._payer, version, DIRECT_SECONDS, caps, direct=True, share=share)
        order = Session(self.user, new.record, files).order_for(request)
        digest, note = order.digest(self._domain), self._note(new, "")
        _, mined = self.contracts.market.pay_per_inference(
            new.record.signer, new.record.expiry, caps, new.nonce, digest, note, share
        )
        return Session(self.user, new.record, files), order, mined

    def _request(
        self, version: bytes, files: ModelFiles, prompt: Prompt, options: AskOptions, share: AgreedShare | None
    ) -> Request:
        """A request over nodes whose stakes cover the order."""

        rate = share.basis_points if share else 0

        def choose(nodes: Sequence[ShardNode]) -> Request:
            with blame_choice_of(options.operators, files.program.shape.layers):
                return price_request(prompt, route_over(nodes, files.program), options, rate)

        def added(request: Request, node: ShardNode) -> int | None:
            locked = wei_to_lock(node.wei_per_token, request.offer.positions)
            return max(locked, request.value_at_risk) if request.route.names(node.node_id) else None

        return choose_covered(self.user.nodes.candidates(version, options.operators), choose, added)

    def close_direct(self, answer: Answer) -> Transaction:
        """Start the challenge window of a direct answer's session, so that the rest of the money comes back."""
        mined = self.contracts.market.close(answer.session)
        self.store.set_session_state(answer.session, CLOSED)
        return Transaction.of("close", mined)

    def proof_of(self, order_digest: bytes) -> InferenceProof:
        """The evidence of an order asked from this machine, from the store."""
        record = self.store.order(order_digest)
        signer = self.store.session(record.order.session).signer
        return generate_proof(record, signer, self._domain, self.user.nodes.receipt_key_of)

    # ------------------------------------------------------------------- money

    def withdraw(self) -> tuple[int, Mined | None]:
        """Fetch what the market owes the wallet; (0, None) when there is nothing."""
        self._sender.look_from_sent()  # a server that lags would say that nothing was settled
        owed = self.contracts.market.balance_of(self._sender.wallet.address)
        return (owed, self.contracts.market.withdraw()) if owed else (0, None)
