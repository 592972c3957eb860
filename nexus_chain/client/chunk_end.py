"""The end of a chunk: receipts from all segments in order, each checked against the rows that the client saw."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from coincurve import PrivateKey

from nexus_chain.client.answer_state import AnswerState
from nexus_chain.client.prepayment import Prepayment
from nexus_chain.client.purse import AnswerAccount
from nexus_chain.client.receipt_check import ExpectedReceipt, check_against_rows
from nexus_chain.client.replacement import Replacement
from nexus_chain.client.rounds import TokenRounds
from nexus_chain.client.segment import Segment
from nexus_chain.market.documents import Domain, TokenFeed, sign
from nexus_chain.wire.errors import BadReceiptError
from nexus_chain.wire.peer import NodeContact, ShardPeer, SignedFeed, SignedReceipt


class ChunkEnd:
    """Collects one answer's receipts. ``key``: the session's, which signs what tokens were fed."""

    def __init__(
        self,
        state: AnswerState,
        account: AnswerAccount,
        prepayment: Prepayment,
        replacement: Replacement,
        rounds: TokenRounds,
        domain: Domain,
        key: PrivateKey,
    ) -> None:
        self._state, self._account, self._prepayment = state, account, prepayment
        self._replacement, self._rounds = replacement, rounds
        self._domain, self._key = domain, key

    def collect(self, stop: int, more: bool = False) -> None:
        """Close the chunk at ``stop`` on every segment, in order, and check what comes back; then prepay ``more``."""
        state = self._state
        likely = stop + min(self._prepayment.chunk_length(ahead=1), state.tokens_left)
        for segment in state.segments:
            last = segment is state.segments[-1]
            meanwhile = partial(self._look_ahead, likely) if more and last else state.catch_up
            if segment.billed < stop:
                self._replacement.insist(segment, partial(self._close, segment, stop=stop, meanwhile=meanwhile))
        state.closed = stop
        if more:
            self._replacement.replace_unfit()
            self._go_on(stop + min(self._prepayment.chunk_length(), state.tokens_left), likely)

    def _go_on(self, stop: int, likely: int) -> None:
        """Prepay to ``stop``; the draft for the chunk to ``likely`` is of use only if that is the one."""
        if stop != likely:
            self._state.draft = None
        self._prepayment.pay_to(stop)

    def _look_ahead(self, stop: int) -> None:
        """Get ready for the chunk that ends at ``stop``, without knowing yet whether it will be prepaid."""
        self._prepayment.sign_ahead(stop)
        self._rounds.draft_ahead(stop)

    def _close(self, segment: Segment, peer: ShardPeer, stop: int, meanwhile: Callable[[], None]) -> None:
        if segment.billed == stop:  # a spare whose credit reaches so far
            return
        state = self._state
        handed = state.papers.predecessors(segment.number, stop, self._sign_feed)
        answer = peer.begin_close_chunk(state.digest, segment.billed, stop, handed)
        digests = tuple(document.digest(self._domain) for document, _ in handed)
        meanwhile()
        signed = answer()
        ask = state.order.asks[segment.number].wei_per_token
        expected = ExpectedReceipt(state.digest, segment.number, segment.billed, stop, ask, digests)
        self._check(signed, expected, segment.contact)
        state.papers.add(signed)
        state.put_off.append(partial(self._account.bill, *signed))
        segment.billed = segment.sent = stop  # the chunk's end drops what is beyond
        segment.signed += 1

    def _check(self, signed: SignedReceipt, expected: ExpectedReceipt, contact: NodeContact) -> None:
        try:
            check_against_rows(signed, expected, contact, self._state.seen, self._domain)
        except BadReceiptError as error:
            if error.is_evidence:
                self._state.store.add_disputed(*signed)
            raise

    def _sign_feed(self, stop: int) -> SignedFeed:
        """Sign which tokens were fed up to ``stop``."""
        feed = TokenFeed(self._state.digest, stop, self._state.seen.in_root(0, stop))
        signed = (feed, sign(feed, self._key, self._domain))
        self._state.put_off.append(partial(self._state.store.add_feed, *signed))
        return signed
