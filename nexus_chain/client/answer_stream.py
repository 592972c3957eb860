"""An answer as its reader sees it: pieces of text, an end at any time, a result. Any thread may use it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from nexus_chain.client.answer import Answer, Transaction
from nexus_chain.client.answer_run import AnswerRun
from nexus_chain.client.auditing import AuditResult
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.purse import AnswerSpending
from nexus_chain.evidence.proof import InferenceProof

PATIENCE_SECONDS = 2.0
"""How long a cancelled answer waits for a node that is at work, so as to have its receipt, before it hangs up."""


class AnswerStream:
    """Iterate for pieces of text, then take ``result``. Nothing is signed or sent before the first piece is asked for.

    One thread at a time reads. ``close`` it, use it as a context manager, or read it to its end.
    """

    def __init__(self, run: AnswerRun) -> None:
        self._run, self._pieces = run, run.pieces()
        self._step = threading.Lock()  # held while a piece is computed
        self._ended = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """The next piece. Raises what ends the answer; see ``Pipeline.run``."""
        with self._step, self._limited_patience():
            if self.is_cancelled and self._run.pipeline is None:
                self._end()
            try:
                return next(self._pieces)
            except BaseException:
                self._end()
                raise

    def cancel(self) -> None:
        """Have the answer end at its next step; what was received is kept, and the receipts for it. Waits for nobody.

        Whoever reads sees the end. Where nobody reads any more, ``close`` brings it about.
        """
        self._run.cancelled.set()
        if self._step.acquire(blocking=False):
            self._step.release()  # nobody waits for a node
        else:
            threading.Thread(target=self._lose_patience, name="nexus-cancel", daemon=True).start()

    def close(self) -> None:
        """End the answer here, and wait until it has ended: receipts are had for all that was computed.

        Twice does nothing.
        """
        with self._step, self._limited_patience():
            self._end()

    def result(self) -> Answer:
        """Read what is left, and the finished answer; of a cancelled one, what was received.

        Raises what ends an answer that failed, and SessionStateError for one that ended before it began.
        """
        for _ in self:
            pass
        return self.answer

    @property
    def answer(self) -> Answer:
        """The finished answer. Raises SessionStateError where there is none."""
        if self._run.answer is None:
            what = "failed, or was cancelled before it began" if self._ended else "is not finished"
            raise SessionStateError(f"the answer {what}", advice="Read all of it first; where it failed, ask again.")
        return self._run.answer

    @property
    def is_cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._run.cancelled.is_set()

    @property
    def spending(self) -> tuple[AnswerSpending, ...]:
        """What it took of the session's money, also where it failed; final once it has ended."""
        return self._run.spending

    @property
    def failed_proof(self) -> InferenceProof | None:
        """What nodes signed of it, where it failed and any did."""
        return self._run.failed_proof

    @property
    def audits(self) -> list[AuditResult]:
        """Audits that were bought of it so far."""
        return self._run.audits

    @property
    def transactions(self) -> list[Transaction]:
        """Transactions that it needed so far."""
        return self._run.transactions

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_ended") and not self._ended:
            self._end()

    def _end(self) -> None:
        try:
            self._pieces.close()  # type: ignore[attr-defined]
        finally:
            self._ended = True
            self._run.account.close()

    @contextmanager
    def _limited_patience(self) -> Iterator[None]:
        """For a step of an answer that was cancelled before it: it waits for nodes only so long."""
        if not self.is_cancelled:
            yield
            return
        timer = threading.Timer(PATIENCE_SECONDS, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _lose_patience(self) -> None:
        """The step under way waits for a node only so long."""
        if self._step.acquire(timeout=PATIENCE_SECONDS):
            self._step.release()
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._run.pipeline is not None:
            self._run.pipeline.hang_up()
