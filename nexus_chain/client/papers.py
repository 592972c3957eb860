"""What was signed for the rows of an answer: receipts by segment and position, and the client's token feeds.

Knows which document vouches for a segment's input, and which receipt a spare replays for nothing. Checks nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from nexus_chain.wire.peer import SignedFeed, SignedReceipt


class Papers:
    """The papers of one order whose prompt has ``prompt_length`` tokens."""

    def __init__(self, prompt_length: int) -> None:
        self.feeds: list[SignedFeed] = []
        self._prompt_length = prompt_length
        self._all: dict[tuple[str, int, int], SignedReceipt] = {}  # by node, segment and position
        self._latest: dict[tuple[int, int], SignedReceipt] = {}  # by segment and position

    @property
    def receipts(self) -> list[SignedReceipt]:
        """Of all nodes, those that were replaced included."""
        return list(self._all.values())

    def add(self, signed: SignedReceipt) -> None:
        """Take a checked receipt."""
        receipt = signed[0]
        self._all[receipt.node, receipt.segment, receipt.to_position] = signed
        self._latest[receipt.segment, receipt.to_position] = signed

    def predecessors(
        self, segment: int, stop: int, sign_feed: Callable[[int], SignedFeed]
    ) -> list[SignedReceipt | SignedFeed]:
        """What vouches for the rows that ``segment`` took in up to ``stop``; nothing but the order for the prompt.

        ``sign_feed`` makes the token feed up to a position, where there is none yet.
        """
        if segment > 0:
            return [self._latest[segment - 1, stop]]
        if stop == self._prompt_length:
            return []
        for signed in self.feeds:
            if signed[0].to_position == stop:
                return [signed]
        self.feeds.append(sign_feed(stop))
        return [self.feeds[-1]]

    def credit(self, segment: int, node: str) -> SignedReceipt | None:
        """The receipt that covers most of ``segment``, of another node than ``node``."""
        found = [
            (to, signed) for (where, to), signed in self._latest.items() if where == segment and signed[0].node != node
        ]
        return max(found, key=lambda one: one[0])[1] if found else None

    def cut(self, limits: list[int]) -> list[SignedReceipt]:
        """Take out what covers more than ``limits[segment]`` positions, and feeds as segment 0's; those receipts."""
        taken = [signed for signed in self.receipts if signed[0].to_position > limits[signed[0].segment]]
        self._all = {key: signed for key, signed in self._all.items() if key[2] <= limits[key[1]]}
        self._latest = {key: signed for key, signed in self._latest.items() if key[1] <= limits[key[0]]}
        self.feeds = [signed for signed in self.feeds if signed[0].to_position <= limits[0]]
        return taken
