"""How often a source was right, in each category, as the judge saw it.

The chance that a source is right has the prior Beta(1, 1): before the first verdict every value is as likely. After
p proved and r refuted answers it is Beta(1 + p, 1 + r). Its score is the posterior's 5 % quantile: a value that the
chance exceeds with 95 % certainty. So few observations weigh little (0.05 for nobody's, 0.22 after one proved answer,
0.87 after twenty, 0.97 after a hundred), and trust is earned. Only *proved* and *refuted* count, never agreement:
liars who agree with each other would raise each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nexus_chain.distillation.distiller.journal_database import JournalDatabase
from nexus_chain.distillation.errors import MissingPackageError
from nexus_chain.distillation.judge.verdict import Outcome

CREDIBILITY = 0.95
_VERSION = 1
_SCHEMA = """
CREATE TABLE observation (
    source TEXT NOT NULL, category TEXT NOT NULL, question TEXT NOT NULL, proved INTEGER NOT NULL,
    PRIMARY KEY (source, category, question)) WITHOUT ROWID;
CREATE TABLE tally (
    source TEXT NOT NULL, category TEXT NOT NULL, proved INTEGER NOT NULL, refuted INTEGER NOT NULL,
    PRIMARY KEY (source, category)) WITHOUT ROWID;
CREATE TRIGGER counted AFTER INSERT ON observation BEGIN
    INSERT INTO tally VALUES (NEW.source, NEW.category, NEW.proved, 1 - NEW.proved)
    ON CONFLICT DO UPDATE SET proved = proved + excluded.proved, refuted = refuted + excluded.refuted;
END;
"""


@dataclass(frozen=True)
class RecordObservation:
    """What the judge said of a source's answer to a question (a hash)."""

    source: str
    category: str
    question: str
    outcome: Outcome


@dataclass(frozen=True)
class SourceHistory:
    """Proved and refuted answers of one source in one category."""

    proved: int = 0
    refuted: int = 0

    @property
    def score(self) -> float:
        """0..1: the chance of a right answer exceeds it with a certainty of CREDIBILITY."""
        return _lower_bound(self.proved, self.refuted)


class SourceRecord:
    """The record in the file ``path``. Safe for threads and processes. Raises DistillationJournalError."""

    def __init__(self, path: Path) -> None:
        self._database = JournalDatabase(path, _SCHEMA, _VERSION)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def observe(self, observations: Iterable[RecordObservation]) -> None:
        """Count them, all or none. A question counts once for a source, so telling it again changes nothing."""
        rows = [
            (one.source, one.category, one.question, int(one.outcome is Outcome.PROVED))
            for one in observations
            if one.outcome is not Outcome.UNKNOWN
        ]
        if rows:
            with self._database.transaction() as database:
                database.executemany("INSERT OR IGNORE INTO observation VALUES (?, ?, ?, ?)", rows)

    def history(self, source: str, category: str, *, apart_from: str = "") -> SourceHistory:
        """What is known of a source in a category. ``apart_from``: a question that does not count.

        An answer's own verdict is no part of its history, also where a crash came after it was counted.
        """
        key = (source, category)
        with self._database.transaction() as database:
            found = database.execute("SELECT proved, refuted FROM tally WHERE source = ? AND category = ?", key)
            proved, refuted = found.fetchone() or (0, 0)
            own = database.execute(
                "SELECT proved FROM observation WHERE source = ? AND category = ? AND question = ?", (*key, apart_from)
            ).fetchone()
        if own is not None:
            proved, refuted = proved - own[0], refuted - (1 - own[0])
        return SourceHistory(proved, refuted)


@lru_cache(maxsize=4096)
def _lower_bound(proved: int, refuted: int) -> float:
    try:
        from scipy.special import betaincinv  # type: ignore[import-untyped]
    except ImportError:
        raise MissingPackageError.of("scipy") from None
    return float(betaincinv(1 + proved, 1 + refuted, 1 - CREDIBILITY))
