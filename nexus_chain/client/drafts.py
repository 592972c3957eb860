"""Guesses at what an answer says next, so that one round through the nodes gives several tokens.

Text repeats itself: where the last tokens stood before, what followed them then is likely to follow
again (prompt lookup). A guess is fed behind the token that is certain; the last node samples at every position
as it would have anyway, and the guess counts as far as it agrees. So a draft changes how many rounds
an answer takes, never what it says. Knows no nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 12
"""Tokens of a draft; a node's rows beyond it cost more than the round they save."""
PATTERNS = (3, 2)
"""Numbers of last tokens that are looked for, the surest first."""
LONGEST_PAUSE = 16


class Drafts:
    """Drafts for one answer. They grow while they come true, and pause where they do not."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}  # last place where what follows a pattern begins
        self._looked_at = 0
        self._length, self._pause, self._misses = 4, 0, 0

    def propose(self, tokens: Sequence[int], most: int) -> list[int]:
        """At most ``most`` tokens that may follow ``tokens``, which only ever grow; none without an idea."""
        self._learn(tokens)
        if self._pause:
            self._pause -= 1
            return []
        for size in PATTERNS:
            start = self._after.get(tuple(tokens[-size:]))
            if start is not None:
                return _continued(tokens, start, min(self._length, most))
        return []

    def judge(self, proposed: int, right: int) -> None:
        """Learn that of a draft of ``proposed`` tokens the first ``right`` came true."""
        self._length = min(2 * proposed, LONGEST) if right == proposed else right + 1
        self._misses = 0 if right else self._misses + 1
        self._pause = min((1 << self._misses) - 1, LONGEST_PAUSE) // 2

    def _learn(self, tokens: Sequence[int]) -> None:
        """Note what preceded every token but the last ones' successor, which is not known yet."""
        for place in range(max(self._looked_at, 1), len(tokens)):
            for size in PATTERNS:
                if place >= size:
                    self._after[tuple(tokens[place - size : place])] = place
        self._looked_at = len(tokens)


def _continued(tokens: Sequence[int], start: int, count: int) -> list[int]:
    """``count`` tokens from ``start`` on; past the end the draft repeats itself."""
    found: list[int] = []
    for place in range(start, start + count):
        found.append(tokens[place] if place < len(tokens) else found[place - len(tokens)])
    return found
