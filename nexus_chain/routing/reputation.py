"""What a node's record says about it, and when a route is under attack.

Programs are exact, so one different bit shows that somebody is wrong. Who it is, is never a matter of votes: the rows
are recomputed, and whoever signed another root is to be disputed. Pure; knows neither chain nor weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from nexus_chain.routing.errors import ByzantineAttackError

#: A route with a larger share of nodes proven invalid is stopped.
BYZANTINE_SHARE = Fraction(1, 3)
#: Chunks that a node nobody knows is credited with: one failure does not ruin a newcomer.
_BENEFIT_OF_DOUBT = 4


def detect_byzantine(valid: Mapping[str, bool]) -> tuple[str, ...]:
    """The nodes of a route that were proven wrong; ``valid`` says of each whether what it signed was right.

    Raises ByzantineAttackError when they are more than a third.
    """
    invalid = tuple(node for node, right in valid.items() if not right)
    if len(invalid) > BYZANTINE_SHARE * len(valid):
        raise ByzantineAttackError(invalid, len(valid))
    return invalid


@dataclass(frozen=True)
class TrackRecord:
    """Chunks of one node as this client or watcher saw them."""

    verified: int = 0
    failed: int = 0  # unreachable, late or refused: a fault, not a lie
    invalid: int = 0  # proven wrong by recomputation
    convicted: bool = False  # by the contract

    @property
    def reputation(self) -> float:
        """0 to 1: share of chunks that were served; 0 for ever once something was proven wrong."""
        if self.convicted or self.invalid:
            return 0.0
        good = self.verified + _BENEFIT_OF_DOUBT
        return good / (good + self.failed)


@dataclass(frozen=True)
class ReputationBook:
    """Track records by node address; ``Measurement.reputation`` is taken from here."""

    records: Mapping[str, TrackRecord] = field(default_factory=dict)

    def of(self, node: str) -> float:
        """A node's reputation; 1 for one that nobody has met."""
        return self.records.get(node, TrackRecord()).reputation

    def after(
        self, node: str, *, verified: int = 0, failed: int = 0, invalid: int = 0, convicted: bool = False
    ) -> ReputationBook:
        """The book with so many more chunks in a node's record."""
        known = self.records.get(node, TrackRecord())
        grown = replace(
            known,
            verified=known.verified + verified,
            failed=known.failed + failed,
            invalid=known.invalid + invalid,
            convicted=known.convicted or convicted,
        )
        return replace(self, records={**self.records, node: grown})

    def joined(self, other: ReputationBook) -> ReputationBook:
        """The book with the chunks of ``other`` added: of what two programs of one user saw."""
        book = self
        for node, seen in other.records.items():
            book = book.after(
                node, verified=seen.verified, failed=seen.failed, invalid=seen.invalid, convicted=seen.convicted
            )
        return book

    def pardon(self, node: str) -> ReputationBook:
        """The book after a re-organisation took a node's conviction back; what was proven otherwise stays."""
        known = self.records.get(node, TrackRecord())
        return replace(self, records={**self.records, node: replace(known, convicted=False)})

    def after_all(self, verdicts: Iterable[tuple[str, bool]]) -> ReputationBook:
        """The book after judging receipts: (node, whether its receipt was right)."""
        book = self
        for node, right in verdicts:
            book = book.after(node, verified=int(right), invalid=int(not right))
        return book
