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
repeated: integer programs make the bits the same. It replays for nothing what the node before it
signed and was paid for. Where its rows differ from those that were known, nobody is blamed before
it is settled (``referee``); what rests on a wrong row is forgotten and computed again, unless the
reader was told it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import torch
from coincurve import PrivateKey
from torch import Tensor

from nexus_chain.client.boundary_rows import LARGEST_TOKEN, Boundaries
from nexus_chain.client.chunks import chunk_positions
from nexus_chain.client.errors import CapTooLowError, ClientError, NoSpareError, ReplayMismatchError
from nexus_chain.client.papers import Papers
from nexus_chain.client.purse import SessionPurse
from nexus_chain.client.receipt_check import ExpectedReceipt, check_receipt
from nexus_chain.client.referee import Arbitration, Disagreement, Referee, undecided, wrong_from
from nexus_chain.client.slot import FailoverEvent, Reserve, Round, Slot
from nexus_chain.client.store import ClientStore
from nexus_chain.commitments.tensor import tensor_bytes, tensor_tree
from nexus_chain.drafting.draft_table import DraftTable
from nexus_chain.drafting.drafts import Drafts
from nexus_chain.market.documents import CHUNK_POSITIONS, DISCARDS_PER_POSITION, Domain, TokenFeed, sign, sign_digest
from nexus_chain.market.pricing import billed_positions
from nexus_chain.wire.errors import BadReceiptError, NodeUnreachableError, PeerError
from nexus_chain.wire.peer import Dial, NodeContact, ShardPeer, SignedFeed, SignedOrder, SignedReceipt, SignedVoucher

BLOCK_BYTES = 2 << 20
"""Rows per message stay below this, half of what a message may have."""

RECONNECTS = 2
"""How often a node is tried again when it cannot be reached and nobody else serves its segment."""
RECONNECT_SECONDS = 1.0

QUIET_SECONDS = 200.0
"""A connection that was quiet for longer, as nobody asked for the next token, is made anew: nodes hang up on it."""

T = TypeVar("T")


class Rewound(Exception):
    """Rows were forgotten, and the answer goes on from before them. Never leaves the pipeline."""


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
        referee: Referee | None = None,
        receipted: bool = False,
        before_chunk: Callable[[NodeContact], PeerError | None] = lambda contact: None,
    ) -> None:
        """``drafting``: feed guesses at the next tokens along, which saves rounds and changes no token; they come
        from the text, and from ``draft_table``. ``referee``: recomputes rows about which two nodes differ.
        ``receipted``: yield tokens only once every segment's receipt covers them. ``before_chunk`` says why a node
        must not get another chunk, if so: it is replaced as if it had failed."""
        self.order, self._signature = order
        self.digest = self.order.digest(domain)
        self.seen = Boundaries(len(contacts), prompt, self.order.salt, width, vocab)
        self._papers = Papers(len(prompt))
        self.failovers: list[FailoverEvent] = []
        self.disagreements: list[Disagreement] = []
        signed = [store.track(contact.address).signed for contact in contacts]
        self._slots = [Slot(number, contact, signed=signed[number]) for number, contact in enumerate(contacts)]
        self._domain, self._key, self._purse, self._store = domain, PrivateKey(session_key), purse, store
        self._dial, self._reserve, self._on_failover = dial, reserve, on_failover
        self._before_chunk = before_chunk
        self._drafts = Drafts(draft_table) if drafting else None
        self._block = max(1, BLOCK_BYTES // (4 * width))  # rows of a message
        self._wasted = 0  # rows of drafts that were wrong
        self._closed = 0  # positions covered by a receipt of every segment
        self._chunk_stop = len(prompt) + min(self._chunk(), self.order.max_tokens - 1)  # positions prepaid
        self._prompt_tree = tensor_tree(torch.tensor(prompt, dtype=torch.int32)).root()
        self._arbitration, self._receipted = Arbitration(self.seen, referee), receipted
        self._stored = len(prompt)  # tokens that are written down
        self._told = 0  # sampled tokens that the reader has
        self._put_off: list[Callable[[], None]] = []  # what is to be written down
        self._signed: SignedVoucher | None = None  # for the next chunk, and not handed to anybody yet
        self._proposed: tuple[int, list[int]] | None = None  # a draft, and the position it follows

    def run(self, end_tokens: frozenset[int] = frozenset()) -> Iterator[int]:
        """Yield the sampled tokens; the last one is an end token or number ``max_tokens``.

        When the iterator is exhausted, closed early or interrupted, every position fed is covered by checked
        receipts. Raises NoSpareError when a segment has nobody left, CapTooLowError when the money
        is used up, AnswerWrongError when the answer rests on a row that was wrong and cannot go on,
        DisagreementError when nodes differ and nobody can tell who is right.
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
        return self._papers.receipts

    def _end_early(self) -> None:
        """Have receipts for all that was fed, and its tokens written down, wherever an interrupt came."""
        self.seen.hash_anew()
        sampled = self.seen.tokens[self.seen.prompt_length :]
        self._store.add_tokens(self.digest, self.seen.prompt_length, sampled)
        if self._fed > self._closed:
            with suppress(Rewound):
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
        self._replace_unfit()
        self._prepay(self._chunk_stop)
        while True:
            try:
                yield from self._advance(end_tokens)
                break
            except Rewound:
                continue
        self._catch_up()

    def _advance(self, end_tokens: frozenset[int]) -> Iterator[int]:
        """From wherever the answer is to its end."""
        if self._fed < self.seen.prompt_length:
            self._feed(0, self.seen.prompt_length)
        while not self._finished(end_tokens):
            if self._fed >= self._chunk_stop:
                yield from self._kept()
                self._collect(self._fed, more=True)
            begun = self._begin()
            yield from self._kept()
            self._finish(begun, end_tokens)
        yield from self._kept()
        self._collect(self._fed)
        yield from self._kept()

    def _kept(self) -> Iterator[int]:
        """What the reader may have by now, written down first; and what else waited for a node to be at work."""
        if fresh := self.seen.tokens[self._stored :]:
            self._store.add_tokens(self.digest, self._stored, fresh)
            self._stored += len(fresh)
        self.seen.hash_new()
        self._catch_up()
        return self._tell(self._closed + 1 if self._receipted else len(self.seen.tokens))

    def _tell(self, stop: int) -> Iterator[int]:
        """Tokens before ``stop`` that were not told yet."""
        while (number := self.seen.prompt_length + self._told) < stop:
            self._told += 1
            yield self.seen.tokens[number]

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

    def _finish(self, begun: Round | None, end_tokens: frozenset[int]) -> None:
        """A round through all segments, accepted as far as its draft was right.

        Nothing is accepted when a node failed: it is replaced, and the position is fed again.
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
            return self._replace(*begun.failure)
        return self._judge(begun, end_tokens)

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
        except PeerError as error:
            begun.failure = slot, error

    def _receive(self, begun: Round, answer: Callable[[], Tensor]) -> None:
        """Take what the segment at work makes of the rows of a round."""
        slot = self._slots[len(begun.outputs)]
        try:
            out = answer()
            self.seen.check(slot.segment, begun.start, len(begun.rows), out, slot.contact.address)
        except PeerError as error:
            begun.failure = slot, error
            return
        begun.outputs.append(out)
        begun.rows, begun.answer = out, None

    def _judge(self, begun: Round, end_tokens: frozenset[int]) -> None:
        """Accept the outputs of a round as far as its draft was right."""
        draft, sampled = begun.draft, begun.outputs[-1].tolist()
        right = 0
        while right < len(draft) and sampled[right] == draft[right] and sampled[right] not in end_tokens:
            right += 1
        if self._drafts is not None and draft:
            self._drafts.judge(len(draft), right)
        self._wasted += len(draft) - right
        for slot, out in zip(self._slots, begun.outputs, strict=True):
            self.seen.accept(slot.segment, begun.start, right + 1, out[: right + 1], slot.contact.address)
            slot.ahead = right < len(draft)

    def _feed(self, start: int, stop: int) -> None:
        """Positions [start, stop) through all segments."""
        for slot in self._slots:
            self._on(slot, partial(self._rows, slot, start=start, stop=stop))

    def _rows(self, slot: Slot, peer: ShardPeer, start: int, stop: int, told: bool = True) -> None:
        """Feed one segment in messages of bounded size; ``told``: take the answers."""
        for begin in range(start, stop, self._block):
            end = min(begin + self._block, stop)
            # A prompt is never dropped: it stays the same.
            new = self.seen.prompt_length <= begin == self.seen.received(slot.segment)
            rows = self.seen.inputs(slot.segment, begin, end)
            slot.sent = max(slot.sent, end)
            out = peer.begin_forward(self.digest, begin, rows, discard=new and slot.ahead, voucher=slot.voucher)()
            slot.voucher = None
            slot.ahead = slot.ahead and not new
            if told:
                self.seen.accept(slot.segment, begin, end - begin, out, slot.contact.address)

    # ------------------------------------------------------------------ paying

    def _price(self, segment: int, positions: int) -> int:
        return self.order.asks[segment].wei_per_token * positions

    def _prepay(self, stop: int) -> None:
        """Let all segments go on to position ``stop``, with one voucher that is handed over with their next rows."""
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

    def _due(self, stop: int) -> dict[str, int]:
        """What each node will have computed at position ``stop`` and has not billed yet, wei."""
        amounts: dict[str, int] = {}
        self._catch_up()
        for slot in self._slots:
            due = self._price(slot.segment, stop - slot.billed)
            amounts[slot.contact.address] = amounts.get(slot.contact.address, 0) + due
        return amounts

    # ---------------------------------------------------------------- receipts

    def _collect(self, stop: int, more: bool = False) -> None:
        """Close the chunk at ``stop`` on every segment, in order, and check what comes back; then prepay ``more``."""
        likely = stop + min(self._chunk(ahead=1), self._tokens_left)
        for slot in self._slots:
            last = slot is self._slots[-1]
            meanwhile = partial(self._look_ahead, likely) if more and last else self._catch_up
            if slot.billed < stop:
                self._on(slot, partial(self._close_chunk, slot, stop=stop, meanwhile=meanwhile))
        self._closed = stop
        if more:
            self._replace_unfit()
            self._go_on(stop + min(self._chunk(), self._tokens_left), likely)

    def _chunk(self, ahead: int = 0) -> int:
        """Positions of a chunk that every node of the route may have, once each signed ``ahead`` more."""
        return min(chunk_positions(slot.signed + ahead) for slot in self._slots)

    def _go_on(self, stop: int, likely: int) -> None:
        """Prepay to ``stop``; what was made ready for the chunk to ``likely`` is of use only if that is the one."""
        if stop != likely:
            self._signed = self._proposed = None
        self._prepay(stop)

    def _look_ahead(self, stop: int) -> None:
        """Get ready for the chunk that ends at ``stop``, without knowing yet whether it will be prepaid."""
        self._signed = None
        with suppress(CapTooLowError):  # told when all receipts are there
            self._signed = self._purse.sign(self._due(stop))
        start = self._fed
        self._proposed = start, self._draft(start, stop)

    def _close_chunk(self, slot: Slot, peer: ShardPeer, stop: int, meanwhile: Callable[[], None]) -> None:
        if slot.billed == stop:  # a spare whose credit reaches so far
            return
        handed = self._papers.predecessors(slot.segment, stop, self._feed_for)
        answer = peer.begin_close_chunk(self.digest, slot.billed, stop, handed)
        digests = tuple(document.digest(self._domain) for document, _ in handed)
        meanwhile()
        signed = answer()
        ask = self.order.asks[slot.segment].wei_per_token
        expected = ExpectedReceipt(self.digest, slot.segment, slot.billed, stop, ask, digests)
        self._check(signed, expected, slot.contact)
        self._papers.add(signed)
        self._put_off.append(partial(self._store.add_receipt, *signed))
        slot.billed = slot.sent = stop  # the chunk's end drops what is beyond
        slot.signed += 1

    def _check(self, signed: SignedReceipt, expected: ExpectedReceipt, contact: NodeContact) -> None:
        try:
            check_receipt(signed, expected, contact, self.seen, self._domain)
        except BadReceiptError as error:
            if error.is_evidence:
                self._store.add_disputed(*signed)
            raise

    def _feed_for(self, stop: int) -> SignedFeed:
        """Signs which tokens were fed up to ``stop``."""
        feed = TokenFeed(self.digest, stop, self.seen.in_root(0, stop))
        signed = (feed, sign(feed, self._key, self._domain))
        self._put_off.append(partial(self._store.add_feed, *signed))
        return signed

    # ---------------------------------------------------------------- failover

    def _on(self, slot: Slot, work: Callable[[ShardPeer], T]) -> T:
        """Do ``work`` with the slot's node; when the node fails, replace it and do it again."""
        while True:
            try:
                return work(self._peer(slot))
            except PeerError as error:
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
            prompt = self.seen.tokens[: self.seen.prompt_length]
            tokens = prompt if slot.segment in (0, len(self._slots) - 1) else ()
            key = partial(sign_digest, key=self._key)
            held = peer.open_order(
                (self.order, self._signature),
                slot.segment,
                len(prompt),
                tokens,
                voucher,
                key,
                prompt_tree=self._prompt_tree,
                credit=slot.credit,
            )
            start, received = min(held, slot.billed), self.seen.received(slot.segment)
            if slot.replays:
                if slot.billed > self._block:  # all of the credit first; what it gave is told and compared then
                    self._rows(slot, peer, start, slot.billed, told=False)
                start = 0
            self._rows(slot, peer, start, received)
            slot.ahead = held > max(received, self.seen.prompt_length)
        except BaseException:
            peer.close()
            raise
        slot.peer = peer
        return peer

    def _replace(self, slot: Slot, error: PeerError) -> None:
        """Put the next spare into ``slot``, or the same node again; raise NoSpareError when neither is left."""
        self._drop(slot)
        self._catch_up()
        self._proposed = None  # it does not know what the failure wasted
        if isinstance(error, ReplayMismatchError) and not self._settle(slot, error):
            self._put_aside(slot, undecided(slot.segment))
        else:
            self._fail(slot, error)

    def _fail(self, slot: Slot, error: PeerError) -> None:
        failed = slot.contact
        slot.failed.append(failed.address)
        spare = self._reserve.spare(slot.segment, slot.failed + slot.aside)
        retried = isinstance(error, NodeUnreachableError) and slot.failed.count(failed.address) <= RECONNECTS
        owes = self.seen.gave(slot.segment, slot.billed, failed.address)  # rows that it was paid for in vain
        if (spare is not None or not retried) and (owes or not error.is_busy):
            self._store.count_failure(failed.address)
        if spare is not None:
            self._purse.write_off(failed.address)
            self._seat(slot, spare)
        elif retried:
            time.sleep(RECONNECT_SECONDS)
            self._fund(slot)
        else:
            raise NoSpareError(
                f"segment {slot.segment} has nobody left to serve it: {error.message}",
                advice="Ask again later: the tokens so far and their receipts are kept; see `nexus nodes`.",
            ) from error
        done = self.seen.received(slot.segment)
        event = FailoverEvent(slot.segment, failed.address, slot.contact.address, done, error.message)
        self.failovers.append(event)
        self._on_failover(event)

    def _put_aside(self, slot: Slot, otherwise: ClientError) -> None:
        """Put a spare into ``slot`` for a node that may be right; raise ``otherwise`` where there is none."""
        slot.aside.append(slot.contact.address)
        spare = self._reserve.spare(slot.segment, slot.failed + slot.aside)
        if spare is None:
            raise otherwise
        if slot.billed < slot.sent:
            self._purse.write_off(slot.contact.address)
        self._seat(slot, spare)

    def _seat(self, slot: Slot, spare: NodeContact) -> None:
        """``spare`` serves the slot from now on; it replays for nothing what the last receipt there covers."""
        slot.contact, slot.credit = spare, self._papers.credit(slot.segment, spare.address)
        slot.billed = slot.sent = slot.credit[0].to_position if slot.credit else 0
        slot.signed, slot.ahead, slot.voucher = self._store.track(spare.address).signed, False, None
        self._signed = None  # it promises to the node that left
        self._fund(slot)
        # Nobody gets a longer chunk than its record allows, but for what other segments have computed already.
        begun = max(self._closed, self.seen.prompt_length)
        longest = max(begun + chunk_positions(slot.signed), *(self.seen.received(one.segment) for one in self._slots))
        self._chunk_stop = min(self._chunk_stop, longest)

    def _fund(self, slot: Slot) -> None:
        # For the rest of the order at once: one transaction a replacement, not one a chunk.
        # A chunk on top, as for the first nodes: the voucher prepays whole chunks.
        longest = self.seen.prompt_length + self.order.max_tokens - 1 + CHUNK_POSITIONS
        self._reserve.fund(slot.contact, self._price(slot.segment, longest - slot.billed))

    # -------------------------------------------------------------- disagreement

    def _settle(self, slot: Slot, error: ReplayMismatchError) -> bool:
        """Whether the slot's node is to blame for a replay that differs.

        Raises Rewound where the known rows were wrong, AnswerWrongError where the reader has what rests on them.
        """
        ruling = self._arbitration.rule(slot.segment, slot.contact.address, error)
        case = ruling.disagreement
        self.disagreements.append(case)
        rows = {case.later: bytes(tensor_bytes(case.later_row)), case.earlier: bytes(tensor_bytes(case.earlier_row))}
        self._store.add_disagreement(self.digest, case.segment, case.position, rows)
        for node in case.wrong:
            self._store.count_failure(node, invalid=True)
        if ruling.position is None:
            return ruling.settled
        self._rewind(slot, ruling.position, case)
        if case.later in case.wrong and slot.contact.address == case.later:
            self._fail(slot, error)
        raise Rewound

    def _rewind(self, wrong: Slot, position: int, case: Disagreement) -> None:
        """Forget what rests on the row that ``wrong`` gave for ``position``."""
        seen, base = self.seen, max(position, self.seen.prompt_length)
        first = max(position + 1, seen.prompt_length)
        if seen.prompt_length + self._told > first:
            raise wrong_from(first - seen.prompt_length, case, told=True)
        stuck = [slot for slot in self._slots if self._is_stuck(slot, wrong, position)]
        self._wasted += max(0, *(slot.sent for slot in self._slots)) - base
        seen.cut(wrong.segment, position)
        limits = [base if slot.segment < wrong.segment else position for slot in self._slots]
        self._store.cut(self.digest, first, [receipt for receipt, _ in self._papers.cut(limits)])
        self._stored = min(self._stored, len(seen.tokens))
        self._signed = self._proposed = None
        for slot in self._slots:
            slot.ahead = slot.sent > base
        for slot in stuck:
            self._drop(slot)
            self._put_aside(slot, wrong_from(first - seen.prompt_length, case, told=False))

    def _is_stuck(self, slot: Slot, wrong: Slot, position: int) -> bool:
        """Whether a node has signed, or holds in its prompt, what rests on a row that was wrong: it takes no other."""
        base = max(position, self.seen.prompt_length)
        if slot.segment < wrong.segment:
            return slot.billed > base
        if slot is wrong:
            return slot.billed > position
        return slot.sent > position and position < max(slot.billed, self.seen.prompt_length)

    def _drop(self, slot: Slot) -> None:
        if slot.peer is not None:
            slot.peer.close()
            slot.peer = None
