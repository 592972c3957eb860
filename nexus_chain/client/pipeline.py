"""One answer: rows through the segments, tokens out, a receipt from each segment per chunk.

The client drives every segment itself (a star, not a chain), so it sees every boundary row. For
each chunk (the prompt, then at most 32 positions):

1. sign one voucher that prepays the chunk for every segment; it goes along with the first rows
2. feed position after position through the segments; the last one samples the next token. Guesses
   at the tokens after it (``drafts``) go along, and what was wrong of them is dropped again
3. sign the TokenFeed for segment 0, then collect the receipts in segment order, each segment
   being shown its predecessor's
4. check every receipt completely; only then comes the next chunk's voucher

When a node fails in any of these steps, ``Failover`` puts another in its place and the step is
repeated: integer programs make the bits the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from nexus_chain.client.boundaries import LARGEST_TOKEN, Boundaries
from nexus_chain.client.draft_table import DraftTable
from nexus_chain.client.drafts import Drafts
from nexus_chain.client.errors import NodeError, NodeUnreachableError, NoSpareError
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


@dataclass(frozen=True)
class FailoverEvent:
    """A node was replaced. The spare replays ``position`` positions and must give the same bits for them.

    ``spare`` is ``failed`` itself when nobody else serves the segment and it is tried again.
    """

    segment: int
    failed: str
    spare: str
    position: int
    reason: str


@dataclass
class Slot:
    """The node that serves one segment now.

    ``billed``: positions its receipts cover. ``sent``: positions whose rows it was sent, and may have computed.
    ``ahead``: it holds rows beyond those that count, of wrong drafts.
    ``voucher``: prepays the chunk, and is not handed over yet. ``asked``: when it was last needed, monotonic seconds.
    """

    segment: int
    contact: NodeContact
    peer: ShardPeer | None = None
    billed: int = 0
    sent: int = 0
    ahead: bool = False
    voucher: SignedVoucher | None = None
    asked: float = 0.0
    failed: list[str] = field(default_factory=list)


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
    ) -> None:
        """``drafting``: feed guesses at the next tokens along, which saves rounds and changes no token; they come
        from the text, and from ``draft_table``."""
        self.order, self._signature = order
        self.digest = self.order.digest(domain)
        self.seen = Boundaries(len(contacts), prompt, self.order.salt, width, vocab)
        self.receipts: list[SignedReceipt] = []
        self.feeds: list[SignedFeed] = []
        self.failovers: list[FailoverEvent] = []
        self._slots = [Slot(segment, contact) for segment, contact in enumerate(contacts)]
        self._domain, self._key, self._purse, self._store = domain, session_key, purse, store
        self._dial, self._reserve, self._on_failover = dial, reserve, on_failover
        self._drafts = Drafts(draft_table) if drafting else None
        self._wasted = 0  # rows of drafts that were wrong
        self._closed = 0  # positions covered by a receipt of every segment
        self._chunk_stop = len(prompt)
        self._latest: dict[tuple[int, int], SignedReceipt] = {}  # by segment and position

    def run(self, end_tokens: frozenset[int] = frozenset()) -> Iterator[int]:
        """Yield the sampled tokens; the last one is an end token or number ``max_tokens``.

        When the iterator is exhausted, closed early or interrupted, every position fed is covered by checked
        receipts. Raises NoSpareError when a segment has nobody left, CapTooLowError when the money
        is used up.
        """
        try:
            yield from self._chunk(len(self.seen.tokens), end_tokens)
            while not self._finished(end_tokens):
                left = self.order.max_tokens - (len(self.seen.tokens) - self.seen.prompt_length)
                yield from self._chunk(min(CHUNK_POSITIONS, left), end_tokens)
        except (GeneratorExit, KeyboardInterrupt):
            if self._fed > self._closed:
                self._collect(self._fed)
            raise
        finally:
            for slot in self._slots:
                self._drop(slot)
                # Rows whose answer never came count as well: the node wants them paid before it computes others.
                if slot.billed < slot.sent:
                    self._purse.write_off(slot.contact.address)

    def _finished(self, end_tokens: frozenset[int]) -> bool:
        sampled = self.seen.tokens[self.seen.prompt_length :]
        return len(sampled) >= self.order.max_tokens or (bool(sampled) and sampled[-1] in end_tokens)

    def _chunk(self, positions: int, end_tokens: frozenset[int]) -> Iterator[int]:
        """Prepay ``positions`` positions, feed them until the answer ends, collect the receipts."""
        self._chunk_stop = self._closed + positions
        self._prepay(positions)
        while self._fed < self._chunk_stop and not self._finished(end_tokens):
            fresh = self._round(end_tokens)
            self._store.add_tokens(self.digest, len(self.seen.tokens) - len(fresh), fresh)
            yield from fresh
        self._collect(self._fed)

    @property
    def _fed(self) -> int:
        """Positions that have passed every segment."""
        return self.seen.received(len(self._slots) - 1)

    # ----------------------------------------------------------------- feeding

    def _round(self, end_tokens: frozenset[int]) -> list[int]:
        """The prompt, or the last token with a draft of what follows; returns the newly sampled tokens."""
        start = self._fed
        draft = self._draft(start)
        if draft:
            return self._feed_draft(start, draft, end_tokens)
        return self._feed(start, max(start + 1, self.seen.prompt_length))

    def _draft(self, start: int) -> list[int]:
        """Guesses at the tokens after position ``start``, within the chunk and what nodes put up with."""
        waste = DISCARDS_PER_POSITION * billed_positions(self.seen.prompt_length, self.order.max_tokens)
        most = min(self._chunk_stop - start - 1, waste - self._wasted - CHUNK_POSITIONS)
        # Where a node failed in the middle of a round, the segments before it are ahead of the others.
        level = all(self.seen.received(slot.segment) == start for slot in self._slots)
        if self._drafts is None or most < 1 or not level or start < self.seen.prompt_length:
            return []
        return self._drafts.propose(self.seen.tokens, most)

    def _feed_draft(self, start: int, draft: Sequence[int], end_tokens: frozenset[int]) -> list[int]:
        """Position ``start`` and a draft through all segments; the tokens sampled as far as the draft was right.

        No tokens when a node failed: it is replaced, and the position is fed again.
        """
        outputs: list[Tensor] = []
        rows = torch.tensor([self.seen.tokens[start], *draft], dtype=torch.int32)
        count = len(rows)
        for slot in self._slots:
            try:
                rows = self._try_rows(slot, start, rows)
            except NodeError as error:
                self._replace(slot, error)
                return []
            outputs.append(rows)
        sampled: list[int] = rows.tolist()
        right = 0
        while right < len(draft) and sampled[right] == draft[right] and sampled[right] not in end_tokens:
            right += 1
        if self._drafts is not None:
            self._drafts.judge(len(draft), right)
        self._wasted += len(draft) - right
        fresh: list[int] = []
        for slot, out in zip(self._slots, outputs, strict=True):
            fresh = self.seen.accept(slot.segment, start, right + 1, out[: right + 1], slot.contact.address)
            slot.ahead = right + 1 < count
        return fresh

    def _try_rows(self, slot: Slot, start: int, rows: Tensor) -> Tensor:
        """Rows that may turn out wrong through one segment."""
        peer = self._peer(slot)
        slot.sent = max(slot.sent, start + len(rows))
        out = peer.forward(self.digest, start, rows, discard=slot.ahead, voucher=slot.voucher)
        slot.voucher = None
        slot.ahead = True  # until it is known how many of them count
        self.seen.check(slot.segment, start, len(rows), out, slot.contact.address)
        return out

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
            out = peer.forward(self.digest, begin, rows, discard=new and slot.ahead, voucher=slot.voucher)
            slot.voucher = None
            slot.ahead = slot.ahead and not new
            fresh += self.seen.accept(slot.segment, begin, end - begin, out, slot.contact.address)
        return fresh

    # ------------------------------------------------------------------ paying

    def _price(self, segment: int, positions: int) -> int:
        return self.order.asks[segment].wei_per_token * positions

    def _prepay(self, positions: int) -> None:
        """One voucher for all segments of the chunk, handed over with their next rows."""
        amounts: dict[str, int] = {}
        for slot in self._slots:
            due = self._price(slot.segment, positions)
            amounts[slot.contact.address] = amounts.get(slot.contact.address, 0) + due
        voucher = self._purse.prepay(amounts)
        for slot in self._slots:
            slot.voucher = voucher

    # ---------------------------------------------------------------- receipts

    def _collect(self, stop: int) -> None:
        """Close the chunk at ``stop`` on every segment, in order, and check what comes back."""
        for slot in self._slots:
            self._on(slot, partial(self._close_chunk, slot, stop=stop))
        self._closed = stop

    def _close_chunk(self, slot: Slot, peer: ShardPeer, stop: int) -> None:
        if slot.billed == stop:
            return
        handed = self._predecessors(slot.segment, stop)
        digests = tuple(document.digest(self._domain) for document, _ in handed)
        signed = peer.close_chunk(self.digest, slot.billed, stop, handed)
        ask = self.order.asks[slot.segment].wei_per_token
        expected = ExpectedReceipt(self.digest, slot.segment, slot.billed, stop, ask, digests)
        check_receipt(signed, expected, slot.contact, self.seen, self._domain)
        self._store.add_receipt(*signed)
        self._purse.use(slot.contact.address, signed[0].price)
        slot.billed = slot.sent = stop  # the chunk's end drops what is beyond
        self.receipts.append(signed)
        self._latest[slot.segment, stop] = signed

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
        self._store.add_feed(*signed)
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
        if time.monotonic() - slot.asked > QUIET_SECONDS:
            self._drop(slot)
        peer = slot.peer or self._attach(slot)
        slot.asked = time.monotonic()
        return peer

    def _attach(self, slot: Slot) -> ShardPeer:
        """Connect the slot's node, open the order there and bring it to where the answer is."""
        peer = self._dial(slot.contact)
        slot.ahead, slot.voucher = False, None  # the order comes with a voucher of its own
        try:
            voucher = self._purse.prepay({slot.contact.address: self._outstanding(slot)})
            order = (self.order, self._signature)
            prompt = self.seen.tokens[: self.seen.prompt_length]
            needs_prompt = slot.segment in (0, len(self._slots) - 1)
            tokens = prompt if needs_prompt else ()
            key = partial(sign_digest, key=self._key)
            held = peer.open_order(order, slot.segment, len(prompt), tokens, voucher, key)
            start = min(held, slot.billed)
            if slot.billed < self._closed:
                self._rows(slot, peer, start, self._closed)
                self._close_chunk(slot, peer, self._closed)
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

    def _outstanding(self, slot: Slot) -> int:
        """What the slot's node will have billed at the end of this chunk and has not billed yet, wei."""
        return self._price(slot.segment, self._chunk_stop - slot.billed)

    def _replace(self, slot: Slot, error: NodeError) -> None:
        """Put the next spare into ``slot``, or the same node again; raise NoSpareError when neither is left."""
        self._drop(slot)
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
