"""A session: money locked on-chain for some nodes, spent voucher by voucher while asking.

    session = client.open_session(version, tokens=4096)
    for piece in session.ask("def fib(n):"): print(piece, end="")
    session.close(); ...; session.settle()

What the user signed, was given and paid is in the store before it takes effect, so a killed
process can go on with ``client.session(id)``. One process at a time uses a session (a lock file).
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.exposure import unsettled_lines
from nexus_chain.chain.line_facts import SessionFacts, read_session
from nexus_chain.chain.transactions import Mined
from nexus_chain.client.answer import Answer, AnswerStream, Transaction
from nexus_chain.client.auditing import AuditBuyer, Audited, Auditor, AuditPolicy
from nexus_chain.client.errors import CapTooLowError, SessionStateError
from nexus_chain.client.home import ClientHome
from nexus_chain.client.line_watch import LineWatch
from nexus_chain.client.network import ClientRoute, probe_nodes, route_over
from nexus_chain.client.order import AskOptions, build_order, make_quote
from nexus_chain.client.pipeline import Pipeline
from nexus_chain.client.purse import SessionPurse
from nexus_chain.client.referee import ModelReferee
from nexus_chain.client.session_key import load_key
from nexus_chain.client.slot import FailoverEvent
from nexus_chain.client.store import CLOSED, DONE, FAILED, OPEN, OPENING, RUNNING, SETTLED, ClientStore, SessionRecord
from nexus_chain.evidence.proof import generate_proof
from nexus_chain.market.documents import Order, sign
from nexus_chain.market.pricing import Quote
from nexus_chain.program import IntegerModel
from nexus_chain.program.model import WEIGHTS_FILE
from nexus_chain.routing.errors import NoNodeForLayersError
from nexus_chain.routing.liability import added_value, choose_covered, require_covered, with_exposure
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.routing.reputation_file import load_reputation
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.wire.peer import Dial, NodeContact

OnFailover = Callable[[FailoverEvent], None]


@dataclass(frozen=True)
class Surroundings:
    """What every session of one user shares."""

    contracts: Contracts
    home: ClientHome
    store: ClientStore
    dial: Dial

    def nodes(self, version: bytes, operators: Collection[str] = ()) -> list[ShardNode]:
        """Active nodes of a version as they answer now, with what this user's watcher found out about them.

        ``operators``: only these, where any are named; the others are not even asked who they are.
        """
        book = load_reputation(self.home.reputation).joined(self.store.book())
        return [probed.node for probed in probe_nodes(self.contracts, self.dial, version, book, operators)]

    def exposures(self) -> dict[str, int]:
        """Wei in lines that are not settled, by node."""
        return unsettled_lines(self.contracts, self.home.exposure(self.contracts.domain.chain_id)).by_node()

    def require_covered(self, node: str, added: int) -> None:
        """Raise StakeTooSmallError unless the node's stake covers ``added`` wei more."""
        stake = self.contracts.nodes.node(node).stake
        require_covered(node, stake, self.exposures().get(node, 0), added)


@dataclass(frozen=True)
class Request:
    """A prompt that was tokenised, routed and quoted."""

    text: str
    prompt: tuple[int, ...]
    route: ClientRoute
    offer: Quote
    options: AskOptions

    @property
    def value_at_risk(self) -> int:
        """Wei that a wrong answer could cost: what the user said, else the order's price."""
        stated = self.options.value_at_risk
        return self.offer.total_wei if stated is None else stated


class ChainReserve:
    """Spares of a route; their caps are raised by transaction, from the user's wallet.

    ``limit_wei`` bounds what failovers of one order may lock beside the order itself.
    """

    def __init__(self, session: Session, route: ClientRoute, limit_wei: int, watch: LineWatch) -> None:
        self._session, self._route, self._left, self._watch = session, route, limit_wei, watch
        self.transactions: list[Transaction] = []

    def spare(self, segment: int, failed: Sequence[str]) -> NodeContact | None:
        """The first candidate of the segment that has not failed, and whose line and stake are in order by now."""
        left = [candidate for candidate in self._route.segments[segment] if candidate.address not in failed]
        return self._watch.fit_spare(left) if left else None

    def fund(self, node: NodeContact, wei: int) -> None:
        """Raise the node's cap where it does not suffice. Raises CapTooLowError beyond the limit."""
        missing = self._session.purse.shortfall(node.address, wei)
        if missing == 0:
            return
        if missing > self._left:
            raise CapTooLowError(
                f"replacing a node needs {missing} wei more for {node.address}, the order allows {self._left}",
                advice="Ask again: the route will avoid the node that failed.",
            )
        self._left -= missing
        mined = self._session.allot(node.address, self._session.purse.line(node.address).cap + missing)
        self.transactions.append(Transaction.of("allot", mined))


class Session:
    """One open session. Made by ``Client``."""

    def __init__(self, around: Surroundings, record: SessionRecord, files: ModelFiles) -> None:
        self.around, self.record, self.files = around, record, files
        self._key = load_key(around.home.session_keys, record.signer)
        self._weights: IntegerModel | None = None
        self.purse = SessionPurse(around.store, record.id, self._key, around.contracts.domain)

    @property
    def id(self) -> bytes:
        return self.record.id

    # ------------------------------------------------------------------ asking

    def ask(self, text: str, options: AskOptions | None = None, on_failover: OnFailover = lambda e: None) -> Asking:
        """Sign an order for ``text`` and start; iterate the result for text, then read ``answer``.

        Raises before anything is signed: PromptTooLongError, PriceError, CapTooLowError, NoNodeForLayersError,
        StakeTooSmallError, SessionStateError, OrderExpiredError.
        """
        if self.record.state != OPEN:
            raise SessionStateError(
                f"session 0x{self.id.hex()} is {self.record.state}", advice="Open another with `nexus session open`."
            )
        options = (options or AskOptions()).for_model(self.files.program)
        prompt = self.files.prompt_of(text, options.max_tokens)
        request = self._request(text, prompt, options)
        return self.run(self.order_for(request), request, on_failover)

    def _request(self, text: str, prompt: Sequence[int], options: AskOptions) -> Request:
        """``text`` with a route over nodes whose lines are open and whose stakes cover the order."""
        operators = options.operators or self.around.store.operators(self.id)
        nodes = self.around.nodes(self.record.model_version, operators)
        asked = dict.fromkeys([*(node.node_id for node in nodes), *self.around.store.lines(self.id)])
        facts = read_session(self.around.contracts, self.id, list(asked))
        if facts.session.end:
            self._set_state(CLOSED)
            raise SessionStateError(
                f"session 0x{self.id.hex()} was closed, by another program",
                advice="Open another with `nexus session open`.",
            )
        nodes = with_exposure(nodes, self.around.exposures())

        def choose(left: Sequence[ShardNode]) -> Request:
            fit = [node for node in left if not facts.unfit(node.node_id)]
            with naming(operators, self.files.program.shape.layers):
                return quoted(text, prompt, self._route(fit, facts, len(prompt) + options.max_tokens), options)

        return choose_covered(nodes, choose, self._added)

    def _added(self, request: Request, node: ShardNode) -> int | None:
        """Wei that an order adds to what hangs on a node of its route, spares included."""
        if not request.route.names(node.node_id):
            return None
        line = self.purse.line(node.node_id)
        missing = self.purse.shortfall(node.node_id, node.wei_per_token * request.offer.positions)
        return missing + added_value(line.cap + missing, line.used, request.value_at_risk)

    def _route(self, nodes: Sequence[ShardNode], facts: SessionFacts, positions: int) -> ClientRoute:
        """A route over nodes that the session has money for; the others are spares.

        Raises SessionStateError where money lies at nodes that are unfit, else CapTooLowError.
        """
        lines = self.around.store.lines(self.id)
        able = [
            node.node_id
            for node in nodes
            if node.node_id in lines and not self.purse.shortfall(node.node_id, node.wei_per_token * positions)
        ]
        try:
            return route_over(nodes, self.files.program, able)
        except NoNodeForLayersError:
            for node in lines:
                if reason := facts.unfit(node):
                    raise SessionStateError(
                        f"node {node} {reason}, and no other that session 0x{self.id.hex()} has money for can serve",
                        advice="Give another node a cap with `nexus session allot`, or open another session.",
                    ) from None
            route_over(nodes, self.files.program)  # says so itself when the money is not the problem
            raise CapTooLowError(
                f"session 0x{self.id.hex()} has not enough money left for {positions} positions "
                "at the nodes that answer",
                advice="Raise a cap with `nexus session allot`, or open a session with a larger --tokens.",
            ) from None

    def order_for(self, request: Request) -> Order:
        """The order of a request in this session. Raises OrderExpiredError."""
        now = chain_time(self.around)
        return build_order(
            self.id,
            self.record.model_version,
            request.route.asks,
            request.prompt,
            request.offer,
            request.options,
            now=now,
            expiry=self.record.expiry,
        )

    def run(self, order: Order, request: Request, on_failover: OnFailover = lambda e: None) -> Asking:
        """Sign ``order``, remember it, and return the stream that works it off."""
        return Asking(self, order, request, on_failover)

    # ------------------------------------------------------------------- money

    def allot(self, node: str, cap: int) -> Mined:
        """Raise a node's cap to ``cap`` wei by transaction. Raises StakeTooSmallError beyond what its stake covers."""
        self.around.require_covered(node, cap - self.around.contracts.market.line_of(self.id, node).cap)
        mined = self.around.contracts.market.allot(self.id, node, cap)
        self.around.store.set_cap(self.id, node, cap)
        return mined

    def audit_buyer(self, transactions: list[Transaction]) -> AuditBuyer:
        """What buys audits in this session; its transactions are added to ``transactions``."""

        def fund(node: NodeContact, wei: int, ahead: int) -> None:
            if self.purse.shortfall(node.address, wei):
                missing = self.purse.shortfall(node.address, ahead)
                mined = self.allot(node.address, self.purse.line(node.address).cap + missing)
                transactions.append(Transaction.of("allot", mined))

        around = self.around
        return AuditBuyer(around.contracts.domain, self._key, self.purse, around.store, around.dial, fund)

    def weights(self) -> IntegerModel | None:
        """The model of this session, or None where its weights are not on this machine."""
        if self._weights is None and (self.files.folder / WEIGHTS_FILE).is_file():
            self._weights = self.files.model(self.around.contracts.models.version(self.record.model_version))
        return self._weights

    def save_evidence(self, digest: bytes, leaves: tuple[tuple[bytes, ...], ...] = ()) -> Path:
        """Write the answer file of an order that gave no answer: a failed one, or a decoy that convicts its auditor.

        ``leaves``: of the rows seen, where they are known.
        """
        contracts, record = self.around.contracts, self.around.store.order(digest)
        proof = generate_proof(record, self.record.signer, contracts.domain, contracts.nodes.receipt_key_of, leaves)
        return proof.save(self.around.home.answers / f"{digest.hex()[:16]}.json")

    def close(self) -> Mined:
        """Start the challenge window; nothing can be asked afterwards."""
        mined = self.around.contracts.market.close(self.id)
        self._set_state(CLOSED)
        return mined

    def settle(self) -> Mined | None:
        """After the window: pay every line out and credit what was not used; None where somebody has done so.

        Anyone may do this, and nodes do. Raises SessionStateError before the window is over.
        """
        market = self.around.contracts.market
        nodes = [n for n in self.around.store.lines(self.id) if not market.line_of(self.id, n).settled]
        if not nodes:
            self._set_state(SETTLED)
            return None
        end = max(market.line_of(self.id, node).end for node in nodes)
        now = chain_time(self.around)
        if end == 0 or now <= end:
            raise SessionStateError(
                f"the challenge window of session 0x{self.id.hex()} is not over"
                + (f" for another {end - now} s" if end else ""),
                advice="Close the session first if it is open, then wait and settle again.",
            )
        mined = market.settle_many(self.id, nodes)
        if all(market.line_of(self.id, node).settled for node in nodes):
            self._set_state(SETTLED)
        return mined

    def refresh(self) -> Session:
        """Bring the remembered state in line with the chain (after a crash, or another program's move)."""
        state = chain_state(self.around, self.record)
        if state != self.record.state:
            self._set_state(state)
        return self

    def _set_state(self, state: str) -> None:
        self.around.store.set_session_state(self.id, state)
        self.record = replace(self.record, state=state)

    # -------------------------------------------------------------------- lock

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the session's lock; write off what a killed process left half paid. Raises SessionStateError."""
        folder = self.around.home.session_keys
        with open(folder / f"{self.record.signer}.lock", "w") as handle:
            self._lock(handle)
            store = self.around.store
            for digest in store.order_digests(self.id):
                if store.order(digest).state == RUNNING:
                    for node in store.lines(self.id):
                        self.purse.write_off(node)
                    store.finish_order(digest, FAILED)
            yield

    def _lock(self, handle: IO[str]) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SessionStateError(
                f"another process is asking in session 0x{self.id.hex()}",
                advice="Wait for it, or open a second session.",
            ) from None


class Asking:
    """One answer under way: iterate for text; ``answer`` is there when the iteration has ended."""

    def __init__(self, session: Session, order: Order, request: Request, on_failover: OnFailover) -> None:
        self._session, self._order, self._request = session, order, request
        self._on_failover = on_failover
        self._answer: Answer | None = None
        self.audits: list[Audited] = []
        self.transactions: list[Transaction] = []

    @property
    def answer(self) -> Answer:
        """The finished answer. Raises SessionStateError before the iteration has ended."""
        if self._answer is None:
            raise SessionStateError("the answer is not finished", advice="Iterate over it first.")
        return self._answer

    def __iter__(self) -> Iterator[str]:
        around, order, request = self._session.around, self._order, self._request
        with self._session.exclusive():
            signature = sign(order, self._session._key, around.contracts.domain)
            digest = order.digest(around.contracts.domain)
            around.store.add_order(digest, order, signature, request.prompt)
            watch = LineWatch(partial(read_session, around.contracts, self._session.id, request.route.addresses))
            reserve = ChainReserve(self._session, request.route, request.offer.total_wei, watch)
            pipeline = Pipeline(
                (order, signature),
                request.prompt,
                self._session.files.program.shape.width,
                [candidates[0] for candidates in request.route.segments],
                domain=around.contracts.domain,
                session_key=self._session._key,
                purse=self._session.purse,
                store=around.store,
                dial=around.dial,
                reserve=reserve,
                on_failover=self._on_failover,
                vocab=self._session.files.program.shape.vocab,
                drafting=request.options.drafting,
                draft_table=self._session.files.draft_table if request.options.drafting else None,
                referee=ModelReferee(order, len(request.prompt), self._session.weights),
                receipted=request.options.receipted,
                before_chunk=watch.before_chunk,
            )
            program = self._session.files.program
            stream = AnswerStream(pipeline, self._session.files.codec, silent=program.is_encoder)
            state = FAILED
            try:
                yield from stream
                state = DONE
                self._audit(pipeline)
            except (GeneratorExit, KeyboardInterrupt):  # stopped by the user: paid for and receipted so far
                state = DONE
                raise
            finally:
                around.store.finish_order(digest, state)
                self.transactions += reserve.transactions
                if state == DONE:
                    self._answer = self._finished(pipeline, stream)
                else:
                    self._keep_evidence(pipeline)

    def _keep_evidence(self, pipeline: Pipeline) -> None:
        """Write the answer file of an answer that failed, where anybody signed anything. Never raises."""
        with suppress(Exception):  # the error that ended the answer is the one to be told
            kept = self._session.around.store.order(pipeline.digest)
            if kept.receipts or kept.disputed:
                self._session.save_evidence(pipeline.digest, pipeline.seen.leaves())

    def _audit(self, pipeline: Pipeline) -> None:
        """Have some of the answer's receipts recomputed by other nodes; see ``client.auditing``."""
        options, record = self._request.options, self._session.record
        budget = self._request.offer.total_wei if options.audit_budget is None else options.audit_budget
        operators = options.operators or self._session.around.store.operators(record.id)
        auditor = Auditor(
            self._session.audit_buyer(self.transactions),
            AuditPolicy(options.audit_rate, options.audit_decoys, budget),
            # Auditors see what the nodes of the route see, so they are of the operators that the user named.
            lambda: self._session.around.nodes(record.model_version, operators),
            self._session.weights,
            whole=self._session.files.program.is_encoder,
        )
        order = pipeline.order, sign(pipeline.order, self._session._key, self._session.around.contracts.domain)
        self.audits = auditor.after(order, self._request.prompt, pipeline.receipts, pipeline.seen)
        for digest in auditor.wrong_decoys:
            self._session.save_evidence(digest)

    def _finished(self, pipeline: Pipeline, stream: AnswerStream) -> Answer:
        session, contracts = self._session, self._session.around.contracts
        record = session.around.store.order(pipeline.digest)
        keys = contracts.nodes.receipt_key_of
        proof = generate_proof(record, session.record.signer, contracts.domain, keys, pipeline.seen.leaves())
        voucher = session.around.store.last_voucher(session.id)
        return Answer(
            mode="direct" if session.record.direct else "session",
            session=session.id,
            order_digest=pipeline.digest,
            prompt=self._request.text,
            text=stream.text,
            tokens=tuple(stream.tokens),
            cost_wei=proof.cost_wei,
            promised_wei=sum(line.cumulative for line in voucher[0].lines) if voucher else 0,
            seconds=stream.seconds,
            first_token_seconds=stream.first_token_seconds,
            failovers=tuple(pipeline.failovers),
            proof=proof,
            transactions=tuple(self.transactions),
            audits=tuple(self.audits),
            embedding=_embedding(pipeline) if session.files.program.is_encoder else None,
        )


def _embedding(pipeline: Pipeline) -> tuple[int, ...]:
    """The row that the last of the prompt's positions gives to the last segment."""
    seen = pipeline.seen
    row = seen.inputs(seen.segments - 1, seen.prompt_length - 1, seen.prompt_length)[0]
    return tuple(row.tolist())


def quoted(text: str, prompt: Sequence[int], route: ClientRoute, options: AskOptions) -> Request:
    """A request with its price. Raises PriceError above the user's limit, OrderOverLimitError."""
    offer = make_quote(route.asks, prompt, options)
    return Request(text, tuple(prompt), route, offer, options)


@contextmanager
def naming(operators: Collection[str], layers: int) -> Iterator[None]:
    """Say that nobody serves a range of layers *among the operators named*, where any are."""
    try:
        yield
    except NoNodeForLayersError as error:
        if not operators:
            raise
        raise NoNodeForLayersError(
            error.layer_start, error.layer_end, layers, detail=f"among the {len(operators)} operators that you named"
        ) from None


def chain_time(around: Surroundings) -> int:
    """Unix seconds by which contracts and nodes judge now: a quiet chain's latest block may be old."""
    return max(around.contracts.market.now(), int(time.time()))


def chain_state(around: Surroundings, record: SessionRecord) -> str:
    """The session's state as the chain has it; OPENING when its transaction never arrived."""
    market = around.contracts.market
    try:
        found = market.session_of(record.id)
    except ContractRevertedError:
        return OPENING
    if found.end == 0 and chain_time(around) < found.expiry:
        return OPEN
    nodes = around.store.lines(record.id)
    return SETTLED if nodes and all(market.line_of(record.id, node).settled for node in nodes) else CLOSED
