"""A journal looked at from outside: what was asked, answered, judged and taken, while others may go on writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from nexus_chain.distillation.distiller.errors import DistillationJournalError
from nexus_chain.distillation.distiller.result import DistillationResult
from nexus_chain.distillation.judge.verdict import Outcome
from nexus_chain.distillation.memory.read_only import open_to_read

_OUTCOMES = tuple(outcome.value for outcome in Outcome)


@dataclass(frozen=True)
class JudgeWords:
    """What the judge said of one source's answer: ``checked``, and why in a sentence."""

    checked: str
    reason: str


@dataclass(frozen=True)
class AnsweredRequest:
    """A request with what came of it; ``number``: in the order of asking, for reading on.

    ``result``: None while it is not decided. ``words``: the judge's, by source.
    """

    number: int
    prompt: str
    category: str
    mode: str
    result: DistillationResult | None
    words: dict[str, JudgeWords]


@dataclass(frozen=True)
class SourceTally:
    """What a source did in one journal. ``cost_usd``: exact."""

    source: str
    provider: str
    answered: int
    failed: int
    cost_usd: Decimal
    outcomes: dict[str, int]


class JournalReader:
    """The journal in the file ``path``, of which nothing is changed. Every method raises DistillationJournalError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def requests(self, after: int, most: int, outcome: str = "") -> list[AnsweredRequest]:
        """At most ``most`` requests with a number above ``after``; of an ``outcome`` where one is given."""
        wanted = "AND id IN (SELECT request FROM verdict WHERE outcome = ?)" if outcome else ""
        query = f"SELECT rowid, id, prompt, category, mode FROM request WHERE rowid > ? {wanted} ORDER BY rowid LIMIT ?"
        with self._reading() as database:
            rows = database.execute(query, (after, *((outcome,) if outcome else ()), most)).fetchall()
            return [
                AnsweredRequest(number, prompt, category, mode, _result(database, id), _words(database, id))
                for number, id, prompt, category, mode in rows
            ]

    def count(self) -> int:
        """How many requests there are."""
        with self._reading() as database:
            return int(database.execute("SELECT count(*) FROM request").fetchone()[0])

    def tallies(self) -> list[SourceTally]:
        """What each source did, by name."""
        with self._reading() as database:
            asked = database.execute("SELECT source, provider, state, cost_usd FROM ask ORDER BY source").fetchall()
            said = database.execute("SELECT source, outcome, count(*) FROM verdict GROUP BY source, outcome").fetchall()
        outcomes = {(source, outcome): count for source, outcome, count in said}
        providers = {source: provider for source, provider, _, _ in asked}
        return [
            SourceTally(
                source,
                provider,
                sum(row[0] == source and row[2] == "answered" for row in asked),
                sum(row[0] == source and row[2] == "failed" for row in asked),
                sum((Decimal(row[3]) for row in asked if row[0] == source), Decimal(0)),
                {outcome: outcomes.get((source, outcome), 0) for outcome in _OUTCOMES},
            )
            for source, provider in providers.items()
        ]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the database, whatever is written meanwhile."""
        try:
            with closing(open_to_read(self._path)) as database:
                database.execute("BEGIN")
                yield database
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise DistillationJournalError(
                f"{self._path.name} cannot be read ({error})",
                advice="Give the folder of a distillation of this version.",
            ) from error


def _result(database: sqlite3.Connection, request: str) -> DistillationResult | None:
    """The latest decision: one that is made again under other circumstances is kept beside the first."""
    bodies = database.execute("SELECT body FROM decision WHERE request = ?", (request,)).fetchall()
    results = [DistillationResult.from_json(body) for (body,) in bodies]
    return max(results, key=lambda result: result.timestamp, default=None)


def _words(database: sqlite3.Connection, request: str) -> dict[str, JudgeWords]:
    found = database.execute("SELECT source, checked, reason FROM verdict WHERE request = ?", (request,))
    return {source: JudgeWords(checked, reason) for source, checked, reason in found}
