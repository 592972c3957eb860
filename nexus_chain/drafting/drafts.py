"""Guesses at what an answer says next, so that one round through the nodes gives several tokens.

Text repeats itself: what followed the last tokens earlier in the text is likely to follow them again (prompt lookup). A
model repeats itself too, from answer to answer. A table, ``draft_table.py``, may hold what it usually says after some
tokens. The longest context that either of them knows decides; for equal lengths the text decides.

A guess is fed behind the token that is certain. The last node samples at every position as it always does. The guess
counts as far as it agrees. So a draft changes how many rounds an answer takes, never what it says. Knows no nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_chain.drafting.draft_table import DRAFT_CONTEXT, DraftTable, context_keys
from nexus_chain.market.documents import CHUNK_POSITIONS

LONGEST = CHUNK_POSITIONS - 1
"""Tokens of a draft: with the certain one before them a chunk."""
WORTH = 0.04
"""Least chance of a guess to be reached and right for which a row is fed; over held-out texts, rounds at 0.95 ms and
rows at 0.037 ms together cost one per cent more than at best, which is at 0.03."""
REPEATED = (0.0, 0.6, 0.85, 0.92, 0.95, 0.97)
"""How often what followed a context of 1, 2, ... tokens in the text follows it again, as measured; one
token says too little."""
MEMORY = 0.95
"""What a guess weighs in ``Drafts.trust`` when the next one has been judged."""
PRIOR = 4.0
"""Guesses that are taken to have come true as often as expected before the first one is judged."""
ALMOST_CERTAIN = 0.99


class Drafts:
    """Drafts for one answer. They are as long as they are likely to come true, judged by how they have so far."""

    def __init__(self, table: DraftTable | None = None) -> None:
        """``table``: what the model usually says; without one the answer's own text is all there is."""
        self._table = table
        if table:
            table.get(0)  # the first look-up costs milliseconds: now, not in the middle of the answer
        self._after: dict[int, int] = {}  # by key of a context: what followed its last occurrence
        self._looked_at = 0
        self._right = self._expected = PRIOR
        self._draft: list[float] = []  # chances of the guesses of the last draft
        self._unfed: tuple[int, int, float] | None = None  # place, token and chance of a guess not worth a row

    @property
    def trust(self) -> float:
        """How many of the guesses judged lately came true, as a share of how many were expected to."""
        return self._right / self._expected

    def propose(self, tokens: Sequence[int], most: int) -> list[int]:
        """At most ``most`` tokens that may follow ``tokens``, which only ever grow; none without an idea."""
        self._learn(tokens)
        text, draft, chance = list(tokens[-DRAFT_CONTEXT:]), list[int](), 1.0
        self._draft, trust = [], self.trust
        while len(draft) < min(most, LONGEST) and (guess := self._next(text)):
            chance *= min(guess[1] * trust, ALMOST_CERTAIN)
            if chance < WORTH:
                self._unfed = None if draft else (len(tokens), *guess)
                break
            draft.append(guess[0])
            self._draft.append(guess[1])
            text = [*text, guess[0]][-DRAFT_CONTEXT:]
        return draft

    def judge(self, proposed: int, right: int) -> None:
        """Learn that of a draft of ``proposed`` tokens the first ``right`` came true."""
        for place, chance in enumerate(self._draft[: min(proposed, right + 1)]):
            self._count(chance, right=place < right)

    def _next(self, text: Sequence[int]) -> tuple[int, float] | None:
        """The likeliest token after ``text``, with its chance."""
        for repeated, key in reversed(list(zip(REPEATED, context_keys(text), strict=False))):
            if repeated and (token := self._after.get(key)) is not None:
                return token, repeated
            if self._table and (known := self._table.get(key)):
                return known
        return None

    def _learn(self, tokens: Sequence[int]) -> None:
        """Note what followed every context that ``tokens`` has gained, and whether a guess not fed was right.

        That guess is what ends a time without drafts: nothing else is judged in it.
        """
        if self._unfed and self._unfed[0] < len(tokens):
            place, token, chance = self._unfed
            self._count(chance, right=tokens[place] == token)
            self._unfed = None
        for place in range(self._looked_at, len(tokens)):
            for key in context_keys(tokens[max(0, place - DRAFT_CONTEXT) : place])[1:]:
                self._after[key] = tokens[place]
        self._looked_at = len(tokens)

    def _count(self, chance: float, *, right: bool) -> None:
        self._right = MEMORY * self._right + right
        self._expected = MEMORY * self._expected + chance
