"""A session: money locked on-chain for some nodes, spent voucher by voucher while asking.

    session, _ = client.open_session(version, files, tokens=4096)
    for piece in session.start("def fib(n):"): print(piece, end="")
    session.close(); ...; session.settle()

What the user signed, was given and paid is in the store before it takes effect, so a killed
process can go on with ``client.session(id)``. One process at a time uses a session (a lock file), through one
``Session``; any number of its threads may each read an answer of it at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_chain.chain.transactions import Mined
from nexus_chain.client.answer import Transaction
from nexus_chain.client.answer_run import AnswerRun
from nexus_chain.client.answer_stream import AnswerStream
from nexus_chain.client.audit_buyer import AuditBuyer
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.line_watch import LineWatch
from nexus_chain.client.order import AskOptions, build_order
from nexus_chain.client.prompt_turns import PromptTurns
from nexus_chain.client.purse import AnswerAccount
from nexus_chain.client.request import Prompt, Request
from nexus_chain.client.segment import FailoverEvent
from nexus_chain.client.session_key import load_key
from nexus_chain.client.session_lock import SessionLock
from nexus_chain.client.session_money import SessionMoney
from nexus_chain.client.session_routes import SessionRoutes
from nexus_chain.client.store import CLOSED, FAILED, OPEN, RUNNING, StoredSession
from nexus_chain.client.user import User
from nexus_chain.evidence.proof import InferenceProof, generate_proof
from nexus_chain.market.documents import Order
from nexus_chain.program.file_names import WEIGHTS_FILE
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.wire.peer import NodeContact

if TYPE_CHECKING:
    from nexus_chain.program.model import IntegerModel

OnFailover = Callable[[FailoverEvent], None]


class Session:
    """One open session. Made by ``Client``."""

    def __init__(self, user: User, record: StoredSession, files: ModelFiles) -> None:
        self.user, self.files = user, files
        self.key = load_key(user.home.session_keys, record.signer)
        self.money = SessionMoney(user, record, self.key)
        self.lock = SessionLock(user.home.session_keys / f"{record.signer}.lock", record.id, self._write_off_lost)
        self.prompt_turns = PromptTurns()
        self._weights: IntegerModel | None = None
        self._weights_lock = threading.Lock()

    @property
    def id(self) -> bytes:
        return self.record.id

    @property
    def record(self) -> StoredSession:
        """What this machine knows of the session."""
        return self.money.record

    # ------------------------------------------------------------------ asking

    def start(
        self,
        prompt: str | Sequence[int],
        options: AskOptions | None = None,
        on_failover: OnFailover = lambda event: None,
    ) -> AnswerStream:
        """An answer to ``prompt`` (text, or token ids), routed and priced. Reading it signs the order and begins.

        Any thread may call it, at any time. Raises PromptTooLongError, PriceError, CapTooLowError,
        NoNodeForLayersError, StakeTooSmallError, SessionStateError, OrderExpiredError.
        """
        if self.record.state != OPEN:
            raise SessionStateError(
                f"session 0x{self.id.hex()} is {self.record.state}", advice="Open another with `nexus session open`."
            )
        options = (options or AskOptions()).for_model(self.files.program)
        routes = SessionRoutes(self.user, self.record.model_version, self.files.program, self.money.purse)
        operators = self.operators(options)
        asked = Prompt.of(prompt, self.files, options)
        nodes, watch = routes.watch(operators)
        self._require_open_on_chain(watch)
        request = routes.choose(asked, options, operators, nodes, watch.facts)
        return self.stream(self.order_for(request), request, watch, on_failover)

    def operators(self, options: AskOptions) -> tuple[str, ...]:
        """The only nodes that may take part in an answer; none where anybody may."""
        return options.operators or self.user.store.operators(self.id)

    def _require_open_on_chain(self, watch: LineWatch) -> None:
        if watch.facts.session.end:
            self.money.set_state(CLOSED)
            raise SessionStateError(
                f"session 0x{self.id.hex()} was closed, by another program",
                advice="Open another with `nexus session open`.",
            )

    def order_for(self, request: Request) -> Order:
        """The unsigned order of a request in this session. Raises OrderExpiredError."""
        return build_order(
            self.id,
            self.record.model_version,
            request.route.asks,
            request.prompt.tokens,
            request.offer,
            request.options,
            now=self.user.nodes.now(),
            expiry=self.record.expiry,
        )

    def stream(
        self, order: Order, request: Request, watch: LineWatch, on_failover: OnFailover = lambda event: None
    ) -> AnswerStream:
        """The answer to ``order``, with its money set aside; nothing is signed before it is read.

        Raises CapTooLowError.
        """
        account = self.money.purse.open_account(request.needs)
        return AnswerStream(AnswerRun(self, order, request, watch, account, on_failover))

    # ------------------------------------------------------------------- money

    def allot(self, node: str, cap: int) -> Mined:
        """Raise a node's cap to ``cap`` wei by transaction. Raises StakeTooSmallError beyond what its stake covers."""
        return self.money.allot(node, cap)

    def close(self) -> Mined:
        """Start the challenge window; nothing can be asked afterwards."""
        return self.money.close()

    def settle(self) -> Mined | None:
        """After the window: pay every line out and credit what was not used; None where somebody has done so.

        Raises SessionStateError before the window is over.
        """
        return self.money.settle()

    def refresh(self) -> Session:
        """Bring the remembered state in line with the chain (after a crash, or another program's move)."""
        self.money.refresh()
        return self

    def audit_buyer(self, transactions: list[Transaction]) -> AuditBuyer:
        """What buys audits in this session; its transactions are added to ``transactions``."""
        user, money = self.user, self.money

        def fund(account: AnswerAccount, node: NodeContact, wei: int, ahead: int) -> None:
            # What a transaction has to raise is raised for several audits; what suffices is only kept.
            wanted = ahead if money.purse.shortfall(node.address, wei, account) else wei
            money.claim(account, node.address, wanted, transactions)

        return AuditBuyer(user.contracts.domain, self.key, money.purse, user.store, user.nodes.lease, fund)

    # ---------------------------------------------------------------- evidence

    def weights(self) -> IntegerModel | None:
        """The model of this session, or None where its weights are not on this machine."""
        with self._weights_lock:
            if self._weights is None and (self.files.folder / WEIGHTS_FILE).is_file():
                version = self.user.contracts.models.version(self.record.model_version)
                self._weights = self.files.model(version)
            return self._weights

    def save_evidence(self, digest: bytes, leaves: tuple[tuple[bytes, ...], ...] = ()) -> Path:
        """Write the answer file of an order that gave no answer: a failed one, or a decoy that convicts its auditor.

        ``leaves``: of the rows seen, where they are known.
        """
        return self.evidence_of(digest, leaves).save(self.user.home.answers / f"{digest.hex()[:16]}.json")

    def evidence_of(self, digest: bytes, leaves: tuple[tuple[bytes, ...], ...] = ()) -> InferenceProof:
        """What the store has of an order, as an answer file."""
        user, record = self.user, self.user.store.order(digest)
        return generate_proof(record, self.record.signer, user.contracts.domain, user.nodes.receipt_key_of, leaves)

    def _write_off_lost(self) -> None:
        """What a killed process left half paid counts as used."""
        store = self.user.store
        for digest in store.order_digests(self.id, RUNNING):
            self.money.purse.write_off_all()
            store.finish_order(digest, FAILED)
