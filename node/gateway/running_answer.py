"""One answer of the network while a caller reads it, and how it ends: paid, receipted, kept.

However it ends, it ends once and as a whole: a reader who leaves, a task that is cancelled and a shutdown in the
middle all wait for the same ending, which no cancellation reaches. Its reader has the end as soon as the bill is known:
what it is paid from was reserved before. It is booked while the reader reads, and ``aclose`` waits for that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from nexus_chain.client.answer import Answer
from nexus_chain.client.answer_threads import AsyncAnswer
from nexus_chain.client.purse import AnswerSpending
from nexus_chain.errors import NexusError
from nexus_chain.evidence.proof import InferenceProof
from node.gateway.accounts import Bill
from node.gateway.client_errors import told
from node.gateway.generation import FinishReason, OfferedModel
from node.gateway.stop_strings import StopSearch


class AnswerEnding(Protocol):
    """What is done at the end of an answer; ``answer`` None: nothing was computed, or it failed."""

    def bill(self, running: RunningAnswer, answer: Answer | None) -> Bill:
        """What it costs, and whom."""

    async def book(self, running: RunningAnswer, answer: Answer | None, bill: Bill) -> None:
        """Pay it and keep its evidence. Raises nothing."""


class RunningAnswer:
    """See ``Generation``. It costs its caller what its receipts bill; one that fails, what was delivered of it."""

    def __init__(
        self, id: str, model: OfferedModel, prompt: Sequence[int], max_tokens: int, stops: Sequence[str],
        source: AsyncAnswer, ending: AnswerEnding,
    ) -> None:  # fmt: skip
        """``source``: not begun. ``ending``: each of its functions is called once, whatever happens."""
        self.id, self.model, self.prompt_tokens = id, model, len(prompt)
        self._source, self._ending, self._max_tokens = source, ending, max_tokens
        self._stops = StopSearch(stops)
        self._pieces = 0
        self._left = True
        self._is_delivered = self._has_hung_up = False
        self._end: asyncio.Task[None] | None = None
        self._billed = asyncio.Event()
        self.answer: Answer | None = None
        """The network's answer, once it has ended; None where it failed or never began."""
        self.cost_wei = 0
        self.started = time.monotonic()
        self.network_seconds = 0.0
        """From the first step until the nodes' last receipt; known once it has ended."""
        self.first_text_seconds: float | None = None

    @property
    def tokens(self) -> tuple[int, ...]:
        """The sampled tokens, an end token included, once it has ended."""
        return () if self.answer is None else self.answer.tokens

    @property
    def spending(self) -> Sequence[AnswerSpending]:
        """What it took of its sessions' money, once it has ended."""
        return self._source.spending

    @property
    def failed_proof(self) -> InferenceProof | None:
        """What nodes signed of an answer that failed, where any did."""
        return self._source.failed_proof

    @property
    def delivered_tokens(self) -> int:
        """Tokens of prompt and answer that reached the caller; 0 where no text did."""
        return self.prompt_tokens + self._source.tokens if self._is_delivered else 0

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answer; before its end, those of them that gave text."""
        return self._pieces if self.answer is None else len(self.answer.tokens)

    @property
    def finish(self) -> FinishReason:
        """See ``Generation``."""
        if self._stops.found is not None:
            return "stop"
        if self.answer is None or not self.answer.tokens or self._left:
            return "cancelled"
        if self.answer.tokens[-1] in self.model.files.codec.end_tokens:
            return "stop"
        return "length" if len(self.answer.tokens) >= self._max_tokens else "cancelled"

    @property
    def stop_text(self) -> str | None:
        """See ``Generation``."""
        return self._stops.found

    @property
    def has_ended(self) -> bool:
        """Whether it is over and its cost is known."""
        return self._billed.is_set()

    async def __aiter__(self) -> AsyncIterator[str]:
        """See ``Generation``."""
        try:
            async for piece in self._source:
                self._pieces += 1
                if shown := self._stops.push(piece):
                    self._note_first_text()
                    yield shown
                if self._stops.found is not None:
                    break
            else:
                self._left = False
            if rest := self._stops.finish():
                yield rest
        except NexusError as error:
            raise told(error) from error
        finally:
            self._begin_end()
            await self._billed.wait()

    def note_delivery(self) -> None:
        """See ``Generation``."""
        self._is_delivered = True

    def note_leaving(self) -> None:
        """Its caller has hung up: what was computed until then was asked for."""
        self._has_hung_up = True

    @property
    def is_owed_without_receipts(self) -> bool:
        """Whether its caller was given text, or left, or a text to stop at ended it: not where the gateway did."""
        return self._is_delivered or self._has_hung_up or self._stops.found is not None

    async def aclose(self) -> None:
        """See ``Generation``. Where the waiting task is cancelled, the ending goes on."""
        await asyncio.shield(self._begin_end())

    def _begin_end(self) -> asyncio.Task[None]:
        if self._end is None:
            self._end = asyncio.create_task(self._finish())
        return self._end

    async def _finish(self) -> None:
        try:
            await self._source.aclose()
            try:
                self.answer = await self._source.result()
            except NexusError:
                self.answer = None
            self.network_seconds = time.monotonic() - self.started
            bill = self._ending.bill(self, self.answer)
            self.cost_wei = bill.total_wei
            booking = asyncio.ensure_future(self._ending.book(self, self.answer, bill))
            await asyncio.sleep(0)  # whoever asks for the account or the evidence from now on waits for the booking
        finally:
            self._billed.set()
        await booking

    def _note_first_text(self) -> None:
        if self.first_text_seconds is None:
            self.first_text_seconds = time.monotonic() - self.started
