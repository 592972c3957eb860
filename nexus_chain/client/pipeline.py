"""One answer: rows through the segments, tokens out, a receipt from each segment per chunk.

The client drives every segment itself (a star, not a chain), so it sees every boundary row. For
each chunk (at most 32 positions, the prompt before the first of them):

1. sign one voucher that prepays the chunk for every segment; it goes along with the first rows (``prepayment``)
2. feed position after position through the segments; the last one samples the next token. Guesses
   at the tokens after it (``drafts``) go along, and what was wrong of them is dropped again (``rounds``)
3. sign the TokenFeed for segment 0, then collect the receipts in segment order, each segment
   being shown its predecessor's (``chunk_end``)
4. check every receipt completely; only then is the next chunk's voucher handed over

While a node is at work, the client does what does not decide about the next message: it gives the tokens to its
reader, writes receipts down, and signs the voucher that it will hand over if the last receipt is good.

When a node fails in any of these steps, another is put in its place and the step is repeated (``replacement``).
Where the answer is at any moment is in one place, ``answer_state``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from coincurve import PrivateKey

from nexus_chain.client.answer_state import AnswerCancelled, AnswerRewound, AnswerState
from nexus_chain.client.boundary_rows import LARGEST_TOKEN, BoundaryRows
from nexus_chain.client.chunk_end import ChunkEnd
from nexus_chain.client.node_connections import NodeConnections
from nexus_chain.client.papers import Papers
from nexus_chain.client.prepayment import Prepayment
from nexus_chain.client.prompt_turns import PromptTurn, PromptTurns
from nexus_chain.client.purse import AnswerAccount
from nexus_chain.client.referee import Disagreement, Referee
from nexus_chain.client.replacement import BeforeChunk, Replacement
from nexus_chain.client.rounds import TokenRounds
from nexus_chain.client.segment import FailoverEvent, Reserve, Segment
from nexus_chain.client.store import ClientStore
from nexus_chain.drafting.draft_table import DraftTable
from nexus_chain.drafting.drafts import Drafts
from nexus_chain.market.documents import Domain
from nexus_chain.wire.peer import Dial, NodeContact, SignedOrder, SignedReceipt


class Pipeline:
    """Runs one signed order over a route. ``contacts`` has one node per segment, in layer order."""

    def __init__(
        self,
        order: SignedOrder,
        prompt: Sequence[int],
        width: int,
        contacts: Sequence[NodeContact],
        *,
        domain: Domain,
        session_key: bytes,
        account: AnswerAccount,
        store: ClientStore,
        dial: Dial,
        reserve: Reserve,
        on_failover: Callable[[FailoverEvent], None] = lambda event: None,
        vocab: int = LARGEST_TOKEN + 1,
        drafting: bool = True,
        draft_table: DraftTable | None = None,
        referee: Referee | None = None,
        receipted: bool = False,
        before_chunk: BeforeChunk = lambda contact: None,
        cancelled: threading.Event | None = None,
        turn: PromptTurn | None = None,
    ) -> None:
        """``account``: the answer's part of the session's money, which is closed when the answer is over.

        ``drafting``: feed guesses at the next tokens along, which saves rounds and changes no token; they come
        from the text, and from ``draft_table``. ``referee``: recomputes rows about which two nodes differ.
        ``receipted``: yield tokens only once every segment's receipt covers them. ``before_chunk`` says why a node
        must not get another chunk, if so: it is replaced as if it had failed. ``cancelled``: once it is set, the answer
        ends at its next step. ``turn``: among the answers of its session that bring nodes their prompts.
        """
        seen = BoundaryRows(len(contacts), prompt, order[0].salt, width, vocab)
        segments = [
            Segment(i, contact, signed=store.track(contact.address).signed) for i, contact in enumerate(contacts)
        ]
        state = AnswerState(order, order[0].digest(domain), seen, Papers(len(prompt)), segments, store, len(prompt))
        state.written = len(prompt)
        state.cancelled = cancelled or state.cancelled
        key = PrivateKey(session_key)
        self._state, self._account, self._receipted = state, account, receipted
        self._prepayment = Prepayment(state, account)
        self._turn = turn or PromptTurns().turn()
        self._connections = NodeConnections(state, self._prepayment, dial, key, self._turn)
        self._replacement = Replacement(
            state, self._connections, self._prepayment, reserve, referee, before_chunk, on_failover
        )
        drafts = Drafts(draft_table) if drafting else None
        self._rounds = TokenRounds(state, self._connections, self._replacement, drafts)
        self._chunk_end = ChunkEnd(state, account, self._prepayment, self._replacement, self._rounds, domain, key)

    @property
    def digest(self) -> bytes:
        """The order's."""
        return self._state.digest

    @property
    def order(self) -> SignedOrder:
        return self._state.signed_order

    @property
    def seen(self) -> BoundaryRows:
        """Every row at every boundary."""
        return self._state.seen

    @property
    def receipts(self) -> list[SignedReceipt]:
        """The checked receipts of all nodes, those that were replaced included."""
        return self._state.papers.receipts

    @property
    def failovers(self) -> list[FailoverEvent]:
        """Nodes that were replaced, in order."""
        return self._state.failovers

    @property
    def disagreements(self) -> list[Disagreement]:
        """Replays that differed, in order."""
        return self._state.disagreements

    def run(self, end_tokens: frozenset[int] = frozenset()) -> Iterator[int]:
        """Yield the sampled tokens; the last one is an end token or number ``max_tokens``, unless it was cancelled.

        When the iterator is exhausted, closed early or interrupted, every position fed is covered by checked
        receipts, or written off. Raises NoSpareError when a segment has nobody left, CapTooLowError when the money
        is used up, AnswerWrongError when the answer rests on a row that was wrong and cannot go on,
        DisagreementError when nodes differ and nobody can tell who is right.
        """
        try:
            yield from self._answer(end_tokens)
        except AnswerCancelled:
            self._end_early()
        except (GeneratorExit, KeyboardInterrupt):
            self._end_early()
            raise
        finally:
            try:
                self._state.catch_up()
            finally:
                self._leave()

    def hang_up(self) -> None:
        """Cancel it, and wait for no node: what has no receipt by now is written off. Any thread may."""
        self._state.cancelled.set()
        self._connections.hang_up()

    def _end_early(self) -> None:
        """Have receipts for all that was fed, and its tokens written down, wherever an interrupt came."""
        state = self._state
        state.seen.hash_anew()
        state.store.add_tokens(state.digest, state.prompt_length, state.sampled)
        if state.fed > state.closed:
            with suppress(AnswerRewound, AnswerCancelled):
                self._chunk_end.collect(state.fed)

    def _leave(self) -> None:
        for segment in self._state.segments:
            self._connections.drop(segment)
            # Rows whose answer never came count as well: the node wants them paid before it computes others. And so
            # does what could not be written down.
            if segment.billed < segment.sent or self._state.put_off:
                self._prepayment.write_off(segment.contact.address)
        self._account.close()

    def _answer(self, end_tokens: frozenset[int]) -> Iterator[int]:
        """Chunk after chunk, the prompt first; what is sampled is kept before it is shown."""
        state = self._state
        state.require_wanted()
        self._replacement.replace_unfit()
        chunk = min(self._prepayment.chunk_length(), state.order.max_tokens - 1)
        self._prepayment.pay_to(state.prompt_length + chunk)
        while True:
            try:
                yield from self._advance(end_tokens)
                break
            except AnswerRewound:
                continue
        state.catch_up()

    def _advance(self, end_tokens: frozenset[int]) -> Iterator[int]:
        """From wherever the answer is to its end."""
        state = self._state
        if state.fed < state.prompt_length:
            with self._turn.hold(state.require_wanted):
                self._rounds.feed(0, state.prompt_length)
        while not state.is_complete(end_tokens):
            state.require_wanted()
            if state.fed >= state.chunk_stop:
                yield from self._show()
                self._chunk_end.collect(state.fed, more=True)
            begun = self._rounds.begin()
            yield from self._show()
            self._rounds.finish(begun, end_tokens)
        yield from self._show()
        self._chunk_end.collect(state.fed)
        yield from self._show()

    def _show(self) -> Iterator[int]:
        """What the reader may have by now, written down first; and what else waited for a node to be at work."""
        state = self._state
        state.write_tokens()
        state.seen.hash_new()
        state.catch_up()
        stop = state.closed + 1 if self._receipted else len(state.seen.tokens)
        while (number := state.prompt_length + state.shown) < stop:
            state.shown += 1
            yield state.seen.tokens[number]
