"""One answer from its order to its evidence: sign, run the pipeline, turn tokens into text, audit, keep the proof."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nexus_chain.client.answer import Answer, Transaction
from nexus_chain.client.auditing import Auditor, AuditPolicy, AuditResult
from nexus_chain.client.line_watch import LineWatch
from nexus_chain.client.pipeline import Pipeline
from nexus_chain.client.purse import AnswerAccount, AnswerSpending
from nexus_chain.client.referee import ModelReferee
from nexus_chain.client.request import Request
from nexus_chain.client.reserve import RouteReserve
from nexus_chain.client.store import DONE, FAILED
from nexus_chain.evidence.proof import InferenceProof, generate_proof
from nexus_chain.market.documents import Order, sign
from nexus_chain.market.publisher_share import share_of_costs
from nexus_chain.versions.text_codec import TextCodec
from nexus_chain.wire.peer import SignedOrder

if TYPE_CHECKING:
    from nexus_chain.client.session import OnFailover, Session


class AnswerRun:
    """The work of one answer. ``pieces`` does it; ``answer`` is there once it has ended, unless it failed."""

    def __init__(
        self,
        session: Session,
        order: Order,
        request: Request,
        watch: LineWatch,
        account: AnswerAccount,
        on_failover: OnFailover,
    ) -> None:
        self._session, self._order, self._request = session, order, request
        self._watch, self._on_failover = watch, on_failover
        self.account = account
        self._audit_accounts: list[AnswerAccount] = []
        self.pipeline: Pipeline | None = None
        """There once the order was signed."""
        self.cancelled = threading.Event()
        self.answer: Answer | None = None
        self.failed_proof: InferenceProof | None = None
        """What nodes signed of an answer that failed, where any did."""
        self.audits: list[AuditResult] = []
        self.transactions: list[Transaction] = []

    @property
    def spending(self) -> tuple[AnswerSpending, ...]:
        """What the answer took of its session's money, and what its audits took; final once it has ended."""
        return tuple(account.spending for account in (self.account, *self._audit_accounts))

    def pieces(self) -> Iterator[str]:
        """Sign the order, remember it, and yield the answer's text as it is computed.

        Raises SessionStateError while another process uses the session, and as ``Pipeline.run``.
        """
        with self._session.lock.hold():
            self.pipeline = pipeline = self._pipeline(self._sign())
            program = self._session.files.program
            text = AnswerText(self._session.files.codec, silent=program.is_encoder)
            state = FAILED
            try:
                yield from text.follow(pipeline)
                state = DONE
                if not self.cancelled.is_set():
                    self._audit(pipeline)
            except (GeneratorExit, KeyboardInterrupt):  # stopped by the user: paid for and receipted so far
                state = DONE
                raise
            finally:
                self._session.user.store.finish_order(pipeline.digest, state)
                if state == DONE:
                    self.answer = self._finish(pipeline, text)
                else:
                    self._keep_evidence(pipeline)

    def _sign(self) -> SignedOrder:
        """Sign the order, and remember it before any node sees it."""
        user, domain = self._session.user, self._session.user.contracts.domain
        signature = sign(self._order, self._session.key, domain)
        user.store.add_order(self._order.digest(domain), self._order, signature, self._request.prompt.tokens)
        return self._order, signature

    def _pipeline(self, order: SignedOrder) -> Pipeline:
        session, request, user = self._session, self._request, self._session.user
        limit, shape = request.offer.total_wei, session.files.program.shape
        return Pipeline(
            order,
            request.prompt.tokens,
            shape.width,
            [candidates[0] for candidates in request.route.segments],
            domain=user.contracts.domain,
            session_key=session.key,
            account=self.account,
            store=user.store,
            dial=user.nodes.lease,
            reserve=RouteReserve(request.route, self._watch, session.money, self.account, limit, self.transactions),
            on_failover=self._on_failover,
            vocab=shape.vocab,
            drafting=request.options.drafting,
            draft_table=session.files.draft_table if request.options.drafting else None,
            referee=ModelReferee(order[0], len(request.prompt.tokens), session.weights),
            receipted=request.options.receipted,
            before_chunk=self._watch.before_chunk,
            cancelled=self.cancelled,
            turn=session.prompt_turns.turn(),
        )

    def _keep_evidence(self, pipeline: Pipeline) -> None:
        """Write the answer file of an answer that failed, where anybody signed anything. Never raises."""
        with suppress(Exception):  # the error that ended the answer is the one to be told
            record = self._session.user.store.order(pipeline.digest)
            if record.receipts or record.disputed:
                leaves = pipeline.seen.leaves()
                self.failed_proof = self._session.evidence_of(pipeline.digest, leaves)
                self._session.save_evidence(pipeline.digest, leaves)

    def _audit(self, pipeline: Pipeline) -> None:
        """Have some of the answer's receipts recomputed by other nodes; see ``client.auditing``."""
        session, options = self._session, self._request.options
        budget = self._request.offer.total_wei if options.audit_budget is None else options.audit_budget
        operators = session.operators(options)
        buyer = session.audit_buyer(self.transactions)
        self._audit_accounts = buyer.accounts
        auditor = Auditor(
            buyer,
            AuditPolicy(options.audit_rate, options.audit_decoys, budget),
            # Auditors see what the nodes of the route see, so they are of the operators that the user named.
            lambda: session.user.nodes.candidates(session.record.model_version, operators),
            session.weights,
            whole=session.files.program.is_encoder,
            is_wanted=lambda: not self.cancelled.is_set(),
        )
        self.audits = auditor.after(pipeline.order, self._request.prompt.tokens, pipeline.receipts, pipeline.seen)
        for digest in auditor.wrong_decoys:
            session.save_evidence(digest)

    def _finish(self, pipeline: Pipeline, text: AnswerText) -> Answer:
        session, user = self._session, self._session.user
        record = user.store.order(pipeline.digest)
        keys, leaves = user.nodes.receipt_key_of, pipeline.seen.leaves()
        proof = generate_proof(record, session.record.signer, user.contracts.domain, keys, leaves)
        voucher = user.store.last_voucher(session.id)
        return Answer(
            mode="direct" if session.record.direct else "session",
            session=session.id,
            order_digest=pipeline.digest,
            prompt=self._request.prompt.text,
            text=text.text,
            tokens=tuple(text.tokens),
            cost_wei=proof.cost_wei,
            share_wei=share_of_costs(((r.node, r.price) for r, _ in proof.receipts), session.money.purse.share),
            promised_wei=sum(line.cumulative for line in voucher[0].lines) if voucher else 0,
            seconds=text.seconds,
            first_token_seconds=text.first_token_seconds,
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


@dataclass
class AnswerText:
    """Turns a pipeline's tokens into text, and takes the time. ``silent``: an encoder's tokens stand for no text."""

    codec: TextCodec
    silent: bool = False
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    seconds: float = 0.0
    first_token_seconds: float = 0.0

    def follow(self, pipeline: Pipeline) -> Iterator[str]:
        """Pieces of text; when they end, or are closed early, ``tokens`` and times are complete."""
        started, decoder = time.monotonic(), self.codec.stream()
        ends = frozenset() if self.silent else self.codec.end_tokens
        stream = pipeline.run(ends)
        try:
            for token in stream:
                self.tokens.append(token)
                self.first_token_seconds = self.first_token_seconds or time.monotonic() - started
                if not self.silent and token not in ends:
                    yield self._add(decoder.push(token))
            yield self._add(decoder.finish())
        finally:
            stream.close()  # type: ignore[attr-defined]
            self.seconds = time.monotonic() - started

    def _add(self, piece: str) -> str:
        self.text += piece
        return piece
