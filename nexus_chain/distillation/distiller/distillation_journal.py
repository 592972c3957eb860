"""What was asked, answered, judged and decided, written down so that nobody is paid twice.

"asked" is on the disk before a source is asked, its answer as soon as it arrives. After a crash between the two
nobody can know whether the source answered, or what it cost: the row stays "asked", and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nexus_chain.distillation.distiller.errors import AskedBeforeError
from nexus_chain.distillation.distiller.journal_database import JournalDatabase
from nexus_chain.distillation.distiller.kept_verdicts import VERDICT_SCHEMA, KeptVerdicts
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.source import AnswerSource, SourceAnswer
from nexus_chain.distillation.judge.verdict import Verdict

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE request (id TEXT PRIMARY KEY, prompt TEXT NOT NULL, category TEXT NOT NULL, mode TEXT NOT NULL);
CREATE TABLE ask (
    question TEXT NOT NULL, source TEXT NOT NULL, provider TEXT NOT NULL, state TEXT NOT NULL,
    times INTEGER NOT NULL, lost INTEGER NOT NULL, text TEXT, reason TEXT, maybe_paid INTEGER NOT NULL,
    cost_usd TEXT NOT NULL, tokens INTEGER NOT NULL, latency_ms REAL NOT NULL, asked_at REAL NOT NULL, ended_at REAL,
    PRIMARY KEY (question, source)) WITHOUT ROWID;
CREATE TABLE decision (request TEXT NOT NULL, circumstances TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (request, circumstances)) WITHOUT ROWID;
{VERDICT_SCHEMA}
"""


class AskState(StrEnum):
    """``asked`` without an end: it is being asked now, or a crash came between."""

    ASKED = "asked"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True)
class AskAgainPolicy:
    """When a source that costs money is asked a second time for the same prompt; both may pay twice.

    ``after_crash``: its answer was lost with the process. ``after_failure``: it failed, and may have been paid.
    A free source, and one that surely was not paid, is always asked again.
    """

    after_crash: bool = False
    after_failure: bool = False


@dataclass(frozen=True)
class AskingCosts:
    """``cost_usd``: of every answer, exact, and of every failed call what it counts with, a teacher's worst case.

    ``lost``: asked and never ended, at a cost that nobody knows.
    """

    cost_usd: Decimal
    answered: int
    failed: int
    lost: int


@dataclass(frozen=True)
class SourceBill:
    """What one source cost. ``provider``: who ran it when it was first asked."""

    source: str
    provider: str
    costs: AskingCosts


@dataclass(frozen=True)
class JudgedAnswer:
    """What a source answered, the claim that was made of it (JSON), and the verdict with its obligations."""

    prompt: str
    response: str
    source: str
    claim: str
    verdict: Verdict


class DistillationJournal:
    """The journal in the file ``path``, for one process at a time. Safe for threads.

    Raises DistillationJournalError, here and in every method.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._database = JournalDatabase(path, _SCHEMA, _VERSION, alone=True)
        self._clock = clock
        self.verdicts = KeptVerdicts(self._database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let other processes have it."""
        self._database.close()

    def begin(self, question: str, source: AnswerSource, policy: AskAgainPolicy) -> SourceAnswer | None:
        """The answer that is known, or None: "asked" is on the disk, and the caller asks now.

        ``question``: a request's. Raises AskedBeforeError where asking could be paid twice.
        """
        with self._database.transaction() as database:
            row = database.execute(
                "SELECT state, text, reason, maybe_paid, cost_usd, tokens, latency_ms, times, lost FROM ask "
                "WHERE question = ? AND source = ?",
                (question, source.name),
            ).fetchone()
            if row is None:
                values = (question, source.name, source.provider, AskState.ASKED, self._clock())
                database.execute("INSERT INTO ask VALUES (?, ?, ?, ?, 1, 0, NULL, NULL, 1, '0', 0, 0, ?, NULL)", values)
                return None
            state, text, reason, maybe_paid, cost, tokens, latency, times, lost = row
            if state == AskState.ANSWERED:
                return SourceAnswer(text, Decimal(cost), tokens, latency)
            crashed = state == AskState.ASKED
            if maybe_paid and not source.is_free and not (policy.after_crash if crashed else policy.after_failure):
                raise _asked_before(source.name, crashed, reason)
            database.execute(
                "UPDATE ask SET state = ?, times = ?, lost = ?, maybe_paid = 1, asked_at = ? "
                "WHERE question = ? AND source = ?",
                (AskState.ASKED, times + 1, lost + crashed, self._clock(), question, source.name),
            )
            return None

    def answered(self, question: str, source: str, answer: SourceAnswer) -> None:
        """Keep the answer that ``begin`` gave leave to ask for."""
        values = (AskState.ANSWERED, answer.text, None, 1, answer.tokens, answer.latency_ms)
        self._end(question, source, values, answer.cost_usd)

    def failed(self, question: str, source: str, reason: str, *, maybe_paid: bool, cost_usd: Decimal) -> None:
        """Keep why there is no answer. ``reason``: for people; it holds no secret."""
        self._end(question, source, (AskState.FAILED, None, reason, int(maybe_paid), 0, 0.0), cost_usd)

    def _end(self, question: str, source: str, values: tuple[Any, ...], cost_usd: Decimal) -> None:
        where = (question, source)
        with self._database.transaction() as database:
            (spent,) = database.execute("SELECT cost_usd FROM ask WHERE question = ? AND source = ?", where).fetchone()
            database.execute(
                "UPDATE ask SET state = ?, text = ?, reason = ?, maybe_paid = ?, tokens = ?, latency_ms = ?, "
                "cost_usd = ?, ended_at = ? WHERE question = ? AND source = ?",
                (*values, str(Decimal(spent) + cost_usd), self._clock(), *where),
            )

    def decide(self, request: DistillationRequest, circumstances: str, body: str) -> None:
        """Keep a finished result. ``circumstances``: a hash of all that it depends on beside the answers."""
        with self._database.transaction() as database:
            row = (request.id, request.prompt, request.category, str(request.mode))
            database.execute("INSERT OR IGNORE INTO request VALUES (?, ?, ?, ?)", row)
            database.execute("INSERT OR REPLACE INTO decision VALUES (?, ?, ?)", (request.id, circumstances, body))

    def decided(self, request: DistillationRequest, circumstances: str) -> str | None:
        """The body that ``decide`` kept; None where there is none under these circumstances."""
        with self._database.transaction() as database:
            found = database.execute(
                "SELECT body FROM decision WHERE request = ? AND circumstances = ?", (request.id, circumstances)
            ).fetchone()
        return None if found is None else str(found[0])

    def judged_answers(self, requests: Iterable[DistillationRequest]) -> Iterator[JudgedAnswer]:
        """Every answer to the requests that the judge had, in their order, and by source within each."""
        for request in requests:
            for kept in self.verdicts.of_requests([request.id]):
                with self._database.transaction() as database:
                    (text,) = database.execute(
                        "SELECT text FROM ask WHERE question = ? AND source = ?", (request.question, kept.source)
                    ).fetchone()
                yield JudgedAnswer(request.prompt, text, kept.source, kept.claim, kept.verdict)

    def bills(self) -> tuple[SourceBill, ...]:
        """What each source cost, by name."""
        with self._database.transaction() as database:
            rows = database.execute("SELECT source, provider, cost_usd, state, lost FROM ask").fetchall()
        providers = {source: provider for source, provider, *_ in rows}
        return tuple(
            SourceBill(source, providers[source], _costs([row[2:] for row in rows if row[0] == source]))
            for source in sorted(providers)
        )

    def costs(self) -> AskingCosts:
        """What everything in the journal cost."""
        with self._database.transaction() as database:
            return _costs(database.execute("SELECT cost_usd, state, lost FROM ask").fetchall())


def _costs(rows: Sequence[tuple[str, str, int]]) -> AskingCosts:
    """Of rows (cost, state, times lost)."""
    states = [state for _, state, _ in rows]
    return AskingCosts(
        cost_usd=sum((Decimal(cost) for cost, _, _ in rows), Decimal(0)),
        answered=states.count(AskState.ANSWERED),
        failed=states.count(AskState.FAILED),
        lost=sum(lost for _, _, lost in rows) + states.count(AskState.ASKED),
    )


def _asked_before(source: str, crashed: bool, reason: str | None) -> AskedBeforeError:
    what = (
        "asked before the program ended, and its answer was lost" if crashed else f"asked before, and failed: {reason}"
    )
    return AskedBeforeError(
        f"{source} was {what}",
        advice="It may have been paid, so it is not asked again unless the policy says so.",
        maybe_paid=True,
    )
