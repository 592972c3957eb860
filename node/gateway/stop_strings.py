"""Texts that end an answer, found in it however it is cut into pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopSearch:
    """Lets text through up to the first stop string that is complete, and holds back what may begin one.

    ``found``: the string that ended it. Where several end at the same character, it is the longest.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found: str | None = None

    def push(self, piece: str) -> str:
        """What is certain to be part of the answer with ``piece``. Nothing once a string is found."""
        if self.found is not None:
            return ""
        text, self._held = self._held + piece, ""
        ends = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            _, at, self.found = min(ends)
            return text[:at]
        kept = len(text) - self._may_begin(text)
        self._held = text[kept:]
        return text[:kept]

    def finish(self) -> str:
        """What was held back, once nothing more comes."""
        rest, self._held = self._held, ""
        return rest

    def _may_begin(self, text: str) -> int:
        """How many of the last characters could be the beginning of a stop string."""
        longest = min(len(text), max(map(len, self._stops), default=1) - 1)
        return next((n for n in range(longest, 0, -1) if any(s.startswith(text[-n:]) for s in self._stops)), 0)
