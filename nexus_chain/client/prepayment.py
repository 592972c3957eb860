"""Paying for a chunk before it is computed: what is due to each node, and the vouchers for it."""

from __future__ import annotations

from contextlib import suppress

from nexus_chain.client.answer_state import AnswerState
from nexus_chain.client.chunks import chunk_positions
from nexus_chain.client.errors import CapTooLowError
from nexus_chain.client.purse import AnswerAccount
from nexus_chain.client.segment import Segment
from nexus_chain.wire.peer import SignedVoucher


class Prepayment:
    """Spends an answer's account chunk by chunk."""

    def __init__(self, state: AnswerState, account: AnswerAccount) -> None:
        self._state, self._account = state, account

    def pay_to(self, stop: int) -> None:
        """Let all segments go on to position ``stop``, with one voucher that is handed over with their next rows.

        Raises CapTooLowError.
        """
        voucher = self._account.prepay(self._due(stop))
        self._state.chunk_stop = stop
        for segment in self._state.segments:
            segment.voucher = voucher

    def pay_again(self, segment: Segment) -> SignedVoucher:
        """A voucher for one segment's part of the chunk, to open the order at its node. Raises CapTooLowError."""
        node = segment.contact.address
        return self._account.prepay({node: self._due(self._state.chunk_stop)[node]})

    def sign_ahead(self, stop: int) -> None:
        """Get the voucher to position ``stop`` ready, without knowing yet whether it will be handed out."""
        with suppress(CapTooLowError):  # told when all receipts are there
            self._account.sign_ahead(self._due(stop))

    def chunk_length(self, ahead: int = 0) -> int:
        """Positions of a chunk that every node of the route may have, once each signed ``ahead`` more."""
        return min(chunk_positions(segment.signed + ahead) for segment in self._state.segments)

    def write_off(self, node: str) -> None:
        """Count all that a node was promised for this answer as used."""
        self._account.write_off(node)

    def _due(self, stop: int) -> dict[str, int]:
        """What each node will have computed at position ``stop`` and has not billed yet, wei."""
        amounts: dict[str, int] = {}
        self._state.catch_up()
        for segment in self._state.segments:
            due = self._state.price(segment.number, stop - segment.billed)
            amounts[segment.contact.address] = amounts.get(segment.contact.address, 0) + due
        return amounts
