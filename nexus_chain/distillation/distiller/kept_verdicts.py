"""The judge's verdicts, kept with their claims and obligations so that an auditor can have samples judged again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from nexus_chain.distillation.distiller.journal_database import JournalDatabase
from nexus_chain.distillation.judge.verdict import Artefact, Enumeration, Kind, Outcome, Verdict

VERDICT_SCHEMA = """
CREATE TABLE verdict (
    request TEXT NOT NULL, source TEXT NOT NULL, claim TEXT NOT NULL, kind TEXT NOT NULL, outcome TEXT NOT NULL,
    checked TEXT NOT NULL, reason TEXT NOT NULL, counterexample TEXT NOT NULL, vacuous INTEGER NOT NULL,
    enumerations TEXT NOT NULL,
    PRIMARY KEY (request, source)) WITHOUT ROWID;
CREATE TABLE obligation (
    request TEXT NOT NULL, source TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (request, source, position)) WITHOUT ROWID;
CREATE TABLE artefact (sha256 TEXT PRIMARY KEY, text TEXT NOT NULL);
"""
_COLUMNS = "request, source, claim, kind, outcome, checked, reason, counterexample, vacuous, enumerations"


@dataclass(frozen=True)
class KeptVerdict:
    """``request``: its id. ``source``: whose answer was judged. ``claim``: JSON, as ``claim_text`` spells it."""

    request: str
    source: str
    claim: str
    verdict: Verdict


class KeptVerdicts:
    """The verdicts in a journal's database; one for each request and source, the latest."""

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    def keep(self, kept: Sequence[KeptVerdict]) -> None:
        """Write them down, all or none."""
        with self._database.transaction() as database:
            for one in kept:
                _write(database, one)

    def find(self, request: str, source: str, claim: str) -> Verdict | None:
        """The verdict on that very claim; None where it was not judged."""
        with self._database.transaction() as database:
            row = database.execute(
                f"SELECT {_COLUMNS} FROM verdict WHERE request = ? AND source = ? AND claim = ?",
                (request, source, claim),
            ).fetchone()
            return None if row is None else _read(database, row).verdict

    def of_requests(self, requests: Iterable[str]) -> Iterator[KeptVerdict]:
        """Every verdict of those requests (ids), in their order, and by source within each."""
        for request in requests:
            with self._database.transaction() as database:
                rows = database.execute(
                    f"SELECT {_COLUMNS} FROM verdict WHERE request = ? ORDER BY source", (request,)
                ).fetchall()
                found = [_read(database, row) for row in rows]
            yield from found


def _write(database: sqlite3.Connection, kept: KeptVerdict) -> None:
    verdict, place = kept.verdict, (kept.request, kept.source)
    counterexample = json.dumps(dict(verdict.counterexample), sort_keys=True)
    enumerations = json.dumps([asdict(one) for one in verdict.enumerations])
    database.execute(
        "INSERT OR REPLACE INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(*place, kept.claim, str(verdict.kind), str(verdict.outcome), verdict.checked, verdict.reason),
            *(counterexample, int(verdict.vacuous), enumerations),
        ),
    )
    database.execute("DELETE FROM obligation WHERE request = ? AND source = ?", place)
    for position, artefact in enumerate(verdict.artefacts):
        digest = artefact.sha256
        database.execute("INSERT OR IGNORE INTO artefact VALUES (?, ?)", (digest, artefact.text))
        database.execute("INSERT INTO obligation VALUES (?, ?, ?, ?, ?)", (*place, position, artefact.name, digest))


def _read(database: sqlite3.Connection, row: tuple[str, ...]) -> KeptVerdict:
    request, source, claim, kind, outcome, checked, reason, counterexample, vacuous, enumerations = row
    artefacts = database.execute(
        "SELECT name, text FROM obligation JOIN artefact USING (sha256) WHERE request = ? AND source = ? "
        "ORDER BY position",
        (request, source),
    ).fetchall()
    verdict = Verdict(
        kind=Kind(kind),
        outcome=Outcome(outcome),
        checked=checked,
        reason=reason,
        counterexample=json.loads(counterexample),
        artefacts=tuple(Artefact(name, text) for name, text in artefacts),
        vacuous=bool(vacuous),
        enumerations=tuple(Enumeration(**one) for one in json.loads(enumerations)),
    )
    return KeptVerdict(request, source, claim, verdict)
