"""One answer: rows through the segments, tokens out, a receipt from each segment per chunk.

The client drives every segment itself (a star, not a chain), so it sees every boundary row. For
each chunk (at most 32 positions, the prompt before the first of them):

1. sign one voucher that prepays the chunk for every segment; it goes along with the first rows
2. feed position after position through the segments; the last one samples the next token. Guesses
   at the tokens after it (``drafts``) go along, and what was wrong of them is dropped again
3. sign the TokenFeed for segment 0, then collect the receipts in segment order, each segment
   being shown its predecessor's
4. check every receipt completely; only then is the next chunk's voucher handed over

While a node is at work, the client does what does not decide about the next message: it tells the tokens to its
reader, writes receipts down, and signs the voucher that it will hand over if the last receipt is good.

When a node fails in any of these steps, another is put in its place and the step is
repeated: integer programs make the bits the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

import torch
from coincurve import PrivateKey
from torch import Tensor

from nexus_chain.client.boundaries import LARGEST_TOKEN, Boundaries
from nexus_chain.client.draft_table import DraftTable
from nexus_chain.client.drafts import Drafts
from nexus_chain.client.errors import CapTooLowError, NodeError, NodeUnreachableError, NoSpareError
from nexus_chain.client.peer import (
    Dial,
    NodeContact,
    ShardPeer,
    SignedFeed,
    SignedOrder,
    SignedReceipt,
    SignedVoucher,
)
from nexus_chain.client.purse import SessionPurse
from nexus_chain.client.receipt_check import ExpectedReceipt, check_receipt
from nexus_chain.client.slot import FailoverEvent, Round, Slot
from nexus_chain.client.store import ClientStore
from nexus_chain.market.documents import CHUNK_POSITIONS, DISCARDS_PER_POSITION, Domain, TokenFeed, sign, sign_digest
from nexus_chain.market.pricing import billed_positions

BLOCK_BYTES = 2 << 20
"""Rows per message stay below this, half of what a message may have."""

RECONNECTS = 2
"""How often a node is tried again when it cannot be reached and nobody else serves its segment."""
RECONNECT_SECONDS = 1.0

QUIET_SECONDS = 200.0
"""A connection that was quiet for longer, as nobody asked for the next token, is made anew: nodes hang up on it."""

T = TypeVar("T")


class Reserve(Protocol):
    """Where spares come from."""

    def spare(self, segment: int, failed: Sequence[str]) -> NodeContact | None:
        """The next node to try for ``segment`` that is not in ``failed``, or None."""

    def fund(self, node: NodeContact, wei: int) -> None:
        """Make sure the session's cap for ``node`` allows ``wei`` more; may send a transaction."""


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
        purse: SessionPurse,
        store: ClientStore,
        dial: Dial,
        reserve: Reserve,
        on_failover: Callable[[FailoverEvent], None] = lambda event: None,
        vocab: int = LARGEST_TOKEN + 1,
        drafting: bool = True,
        draft_table: DraftTable | None = None,
        before_chunk: Callable[[NodeContact], NodeError | None] = lambda contact: None,
    ) -> None:
        """``drafting``: feed guesses at the next tokens along, which saves rounds and changes no token; they come
        from the text, and from ``draft_table``. ``before_chunk`` says why a node must not get another chunk, if so:
        it is replaced as if it had failed."""
        self.order, self._signature = order
        self.digest = self.order.digest(domain)
        self.seen = Boundaries(len(contacts), prompt, self.order.salt, width, vocab)
        self.feeds: list[SignedFeed] = []
        self.failovers: list[FailoverEvent] = []
        self._slots = [Slot(segment, contact) for segment, contact in enumerate(contacts)]
        self._domain, self._key, self._purse, self._store = domain, PrivateKey(session_key), purse, store
        self._dial, self._reserve, self._on_failover = dial, reserve, on_failover
        self._before_chunk = before_chunk
        self._drafts = Drafts(draft_table) if drafting else None
        self._wasted = 0  # rows of drafts that were wrong
        self._closed = 0  # positions covered by a receipt of every segment
        self._chunk_stop = len(prompt) + min(CHUNK_POSITIONS, self.order.max_tokens - 1)  # positions prepaid
        self._put_off: list[Callable[[], None]] = []  # what is to be written down
        self._signed: SignedVoucher | None = None  # for the next chunk, and not handed to anybody yet
        self._proposed: tuple[int, list[int]] | None = None  # a draft, and the position it follows
        self._receipts: dict[tuple[str, int, int], SignedReceipt] = {}  # by node, segment and position
        self._latest: dict[tuple[int, int], SignedReceipt] = {}  # by segment and position

    def run(self, end_tokens: frozenset[int] = frozenset()) -> Iterator[int]:
        """Yield the sampled tokens; the last one is an end token or number ``max_tokens``.

        When the iterator is exhausted, closed early or interrupted, every position fed is covered by checked
        receipts. Raises NoSpareError when a segment has nobody left, CapTooLowError when the money
        is used up.
        """
        try:
            yield from self._answer(end_tokens)
        except (GeneratorExit, KeyboardInterrupt):
            self._end_early()
            raise
        finally:
            try:
                self._catch_up()
            finally:
                self._leave()

    @property
    def receipts(self) -> list[SignedReceipt]:
        """The checked receipts of all nodes, those that were replaced included."""
        return list(self._receipts.values())

    def _end_early(self) -> None:
        """Have receipts for all that was fed, and its tokens written down, wherever an interrupt came."""
        self.seen.hash_anew()
        sampled = self.seen.tokens[self.seen.prompt_length :]
        self._store.add_tokens(self.digest, self.seen.prompt_length, sampled)
        if self._fed > self._closed:
            self._collect(self._fed)

    def _leave(self) -> None:
        for slot in self._slots:
            self._drop(slot)
            # Rows whose answer never came count as well: the node wants them paid before it computes others. And so
            # does what could not be written down.
            if slot.billed < slot.sent or self._put_off:
                self._purse.write_off(slot.contact.address)

    def _answer(self, end_tokens: frozenset[int]) -> Iterator[int]:
        """Chunk after chunk, the prompt first; what is sampled is kept before it is told."""
        self._prepay(self._chunk_stop)
        fresh = self._feed(0, self.seen.prompt_length)
        while not self._finished(end_tokens):
            if self._fed == self._chunk_stop:
                yield from self._kept(fresh)
                fresh = []
                self._collect(self._fed, min(CHUNK_POSITIONS, self._tokens_left))
            begun = self._begin()
            yield from self._kept(fresh)
            fresh = self._finish(begun, end_tokens)
        yield from self._kept(fresh)
        self._collect(self._fed)
        self._catch_up()

    def _kept(self, fresh: list[int]) -> list[int]:
        """``fresh``, written down; and what else waited for a node to be at work."""
        if fresh:
            self._store.add_tokens(self.digest, len(self.seen.tokens) - len(fresh), fresh)
        self.seen.hash_new()
        self._catch_up()
        return fresh

    def _catch_up(self) -> None:
        """Write down what was put off until a node is at work. Harmless when it is cut off and done again."""
        while self._put_off:
            self._put_off[0]()
            del self._put_off[0]

    @property
    def _tokens_left(self) -> int:
        return self.order.max_tokens - (len(self.seen.tokens) - self.seen.prompt_length)

    def _finished(self, end_tokens: frozenset[int]) -> bool:
        sampled = self.seen.tokens[self.seen.prompt_length :]
        return self._tokens_left <= 0 or (bool(sampled) and sampled[-1] in end_tokens)

    @property
    def _fed(self) -> int:
        """Positions that have passed every segment."""
        return self.seen.received(len(self._slots) - 1)

    # ----------------------------------------------------------------- feeding

    def _begin(self) -> Round | None:
        """The last token and a draft of what follows, on their way to the first segment where it is connected.

        None where a node failed in the middle of feeding, and the segments before it are ahead of the others.
        """
        start = self._fed
        if any(self.seen.received(slot.segment) != start for slot in self._slots):
            return None
        draft = self._draft(start, self._chunk_stop)
        begun = Round(start, draft, torch.tensor([self.seen.tokens[start], *draft], dtype=torch.int32))
        if self._connected(self._slots[0]):
            self._send(begun)
        return begun

    def _draft(self, start: int, chunk_stop: int) -> list[int]:
        """Guesses at the tokens after position ``start``, within the chunk and what nodes put up with."""
        if self._proposed is not None and self._proposed[0] == start:
            return self._proposed[1]
        waste = DISCARDS_PER_POSITION * billed_positions(self.seen.prompt_length, self.order.max_tokens)
        most = min(chunk_stop - start - 1, waste - self._wasted - CHUNK_POSITIONS)
        if self._drafts is None or most < 1:
            return []
        return self._drafts.propose(self.seen.tokens, most)

    def _finish(self, begun: Round | None, end_tokens: frozenset[int]) -> list[int]:
        """A round through all segments; the tokens sampled as far as its draft was right.

        No tokens when a node failed: it is replaced, and the position is fed again.
        """
        if begun is None:
            return self._feed(self._fed, self._fed + 1)
        while begun.failure is None and len(begun.outputs) < len(self._slots):
            if begun.answer is None:
                self._send(begun)
            else:
                self._receive(begun, begun.answer)
        if begun.failure is not None:
            self._wasted += len(begun.draft) + 1
            self._replace(*begun.failure)
            return []
        return self._judged(begun, end_tokens)

    def _send(self, begun: Round) -> None:
        """Hand the rows of a round to the next segment."""
        slot = self._slots[len(begun.outputs)]
        try:
            peer = self._peer(slot)
            slot.sent = max(slot.sent, begun.start + len(begun.rows))
            begun.answer = peer.begin_forward(
                self.digest, begun.start, begun.rows, discard=slot.ahead, voucher=slot.voucher
            )
            slot.voucher = None
            slot.ahead = True  # until it is known how many of them count
        except NodeError as error:
            begun.failure = slot, error

    def _receive(self, begun: Round, answer: Callable[[], Tensor]) -> None:
        """Take what the segment at work makes of the rows of a round."""
        slot = self._slots[len(begun.outputs)]
        try:
            out = answer()
            self.seen.check(slot.segment, begun.start, len(begun.rows), out, slot.contact.address)
        except NodeError as error:
            begun.failure = slot, error
            return
        begun.outputs.append(out)
        begun.rows, begun.answer = out, None

    def _judged(self, begun: Round, end_tokens: frozenset[int]) -> list[int]:
        """Accept the outputs of a round as far as its draft was right; the tokens sampled."""
        draft, sampled = begun.draft, begun.outputs[-1].tolist()
        right = 0
        while right < len(draft) and sampled[right] == draft[right] and sampled[right] not in end_tokens:
            right += 1
        if self._drafts is not None and draft:
            self._drafts.judge(len(draft), right)
        self._wasted += len(draft) - right
        fresh: list[int] = []
        for slot, out in zip(self._slots, begun.outputs, strict=True):
            fresh = self.seen.accept(slot.segment, begun.start, right + 1, out[: right + 1], slot.contact.address)
            slot.ahead = right < len(draft)
        return fresh

    def _feed(self, start: int, stop: int) -> list[int]:
        """Positions [start, stop) through all segments; returns the newly sampled tokens."""
        fresh: list[int] = []
        for slot in self._slots:
            fresh = self._on(slot, partial(self._rows, slot, start=start, stop=stop))
        return fresh

    def _rows(self, slot: Slot, peer: ShardPeer, start: int, stop: int) -> list[int]:
        """Feed one segment in messages of bounded size."""
        block = max(1, BLOCK_BYTES // (4 * self.seen.width))
        fresh: list[int] = []
        for begin in range(start, stop, block):
            end = min(begin + block, stop)
            new = begin == self.seen.received(slot.segment)
            rows = self.seen.inputs(slot.segment, begin, end)
            slot.sent = max(slot.sent, end)
            out = peer.begin_forward(self.digest, begin, rows, discard=new and slot.ahead, voucher=slot.voucher)()
            slot.voucher = None
            slot.ahead = slot.ahead and not new
            fresh += self.seen.accept(slot.segment, begin, end - begin, out, slot.contact.address)
        return fresh

    # ------------------------------------------------------------------ paying

    def _price(self, segment: int, positions: int) -> int:
        return self.order.asks[segment].wei_per_token * positions

    def _prepay(self, stop: int) -> None:
        """Let all segments go on to position ``stop``, with one voucher that is handed over with their next rows."""
        self._replace_unfit()
        voucher = self._signed or self._purse.sign(self._due(stop))
        self._purse.keep(voucher)
        self._signed, self._chunk_stop = None, stop
        for slot in self._slots:
            slot.voucher = voucher

    def _replace_unfit(self) -> None:
        """Put spares in place of nodes that must not get another chunk."""
        for slot in self._slots:
            while (reason := self._before_chunk(slot.contact)) is not None:
                self._replace(slot, reason)
                self._signed = None  # it promises to the node that left

    def _due(self, stop: int) -> dict[str, int]:
        """What each node will have computed at position ``stop`` and has not billed yet, wei."""
        amounts: dict[str, int] = {}
        self._catch_up()
        for slot in self._slots:
            due = self._price(slot.segment, stop - slot.billed)
            amounts[slot.contact.address] = amounts.get(slot.contact.address, 0) + due
        return amounts

    # ---------------------------------------------------------------- receipts

    def _collect(self, stop: int, more: int = 0) -> None:
        """Close the chunk at ``stop`` on every segment, in order, and check what comes back; then prepay ``more``."""
        for slot in self._slots:
            last = slot is self._slots[-1]
            meanwhile = partial(self._look_ahead, stop + more) if more and last else self._catch_up
            self._on(slot, partial(self._close_chunk, slot, stop=stop, meanwhile=meanwhile))
        self._closed = stop
        if more:
            self._prepay(stop + more)

    def _look_ahead(self, stop: int) -> None:
        """Get ready for the chunk that ends at ``stop``, without knowing yet whether it will be prepaid."""
        self._signed = None
        with suppress(CapTooLowError):  # told when all receipts are there
            self._signed = self._purse.sign(self._due(stop))
        start = self._fed
        self._proposed = start, self._draft(start, stop)

    def _close_chunk(self, slot: Slot, peer: ShardPeer, stop: int, meanwhile: Callable[[], None]) -> None:
        if slot.billed == stop:
            return
        handed = self._predecessors(slot.segment, stop)
        answer = peer.begin_close_chunk(self.digest, slot.billed, stop, handed)
        digests = tuple(document.digest(self._domain) for document, _ in handed)
        meanwhile()
        signed = answer()
        ask = self.order.asks[slot.segment].wei_per_token
        expected = ExpectedReceipt(self.digest, slot.segment, slot.billed, stop, ask, digests)
        check_receipt(signed, expected, slot.contact, self.seen, self._domain)
        self._latest[slot.segment, stop] = signed
        self._receipts[slot.contact.address, slot.segment, stop] = signed
        self._put_off.append(partial(self._store.add_receipt, *signed))
        slot.billed = slot.sent = stop  # the chunk's end drops what is beyond

    def _predecessors(self, segment: int, stop: int) -> list[SignedReceipt | SignedFeed]:
        """What vouches for the rows that ``segment`` took in; nothing but the order for the prompt."""
        if segment > 0:
            return [self._latest[segment - 1, stop]]
        if stop == self.seen.prompt_length:
            return []
        for signed in self.feeds:
            if signed[0].to_position == stop:
                return [signed]
        feed = TokenFeed(self.digest, stop, self.seen.in_root(0, stop))
        signed = (feed, sign(feed, self._key, self._domain))
        self._put_off.append(partial(self._store.add_feed, *signed))
        self.feeds.append(signed)
        return [signed]

    # ---------------------------------------------------------------- failover

    def _on(self, slot: Slot, work: Callable[[ShardPeer], T]) -> T:
        """Do ``work`` with the slot's node; when the node fails, replace it and do it again."""
        while True:
            try:
                return work(self._peer(slot))
            except NodeError as error:
                self._replace(slot, error)

    def _peer(self, slot: Slot) -> ShardPeer:
        """The slot's node, connected."""
        if not self._connected(slot):
            self._drop(slot)
        peer = slot.peer or self._attach(slot)
        slot.asked = time.monotonic()
        return peer

    def _connected(self, slot: Slot) -> bool:
        return slot.peer is not None and time.monotonic() - slot.asked <= QUIET_SECONDS

    def _attach(self, slot: Slot) -> ShardPeer:
        """Connect the slot's node, open the order there and bring it to where the answer is."""
        peer = self._dial(slot.contact)
        slot.ahead, slot.voucher = False, None  # the order comes with a voucher of its own
        try:
            voucher = self._purse.sign({slot.contact.address: self._due(self._chunk_stop)[slot.contact.address]})
            self._purse.keep(voucher)
            order = (self.order, self._signature)
            prompt = self.seen.tokens[: self.seen.prompt_length]
            needs_prompt = slot.segment in (0, len(self._slots) - 1)
            tokens = prompt if needs_prompt else ()
            key = partial(sign_digest, key=self._key)
            held = peer.open_order(order, slot.segment, len(prompt), tokens, voucher, key)
            start = min(held, slot.billed)
            if slot.billed < self._closed:
                self._rows(slot, peer, start, self._closed)
                self._close_chunk(slot, peer, self._closed, self._catch_up)
                start = self._closed
            received = self.seen.received(slot.segment)
            self._rows(slot, peer, start, received)
            # A prompt whose answer was lost is sent again, not dropped: it is the same.
            slot.ahead = held > received >= self.seen.prompt_length
        except BaseException:
            peer.close()
            raise
        slot.peer = peer
        return peer

    def _replace(self, slot: Slot, error: NodeError) -> None:
        """Put the next spare into ``slot``, or the same node again; raise NoSpareError when neither is left."""
        self._drop(slot)
        self._catch_up()
        self._proposed = None  # it does not know what the failure wasted
        failed = slot.contact
        slot.failed.append(failed.address)
        spare = self._reserve.spare(slot.segment, slot.failed)
        if spare is not None:
            self._purse.write_off(failed.address)
            slot.contact, slot.billed, slot.sent = spare, 0, 0
        elif isinstance(error, NodeUnreachableError) and slot.failed.count(failed.address) <= RECONNECTS:
            time.sleep(RECONNECT_SECONDS)
        else:
            raise NoSpareError(
                f"segment {slot.segment} has nobody left to serve it: {error.message}",
                advice="Ask again later: the tokens so far and their receipts are kept; see `nexus nodes`.",
            ) from error
        # For the rest of the order at once: one transaction a replacement, not one a chunk.
        # A chunk on top, as for the first nodes: the voucher prepays whole chunks.
        longest = self.seen.prompt_length + self.order.max_tokens - 1 + CHUNK_POSITIONS
        self._reserve.fund(slot.contact, self._price(slot.segment, longest - slot.billed))
        done = self.seen.received(slot.segment)
        event = FailoverEvent(slot.segment, failed.address, slot.contact.address, done, error.message)
        self.failovers.append(event)
        self._on_failover(event)

    def _drop(self, slot: Slot) -> None:
        if slot.peer is not None:
            slot.peer.close()
            slot.peer = None
