"""What was spent and asked, written down before it happens, so that neither threads nor a kill overdraw anything.

A call is opened with its worst case, which has to fit into the budget and the quotas, and settled with what it cost.
A call that was open when the program died, or that may have been billed without an answer, counts with its worst case.
One SQLite file may be shared by several programs; without a file the record lives as long as its object.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from nexus_chain.distillation.teachers.config import QuotaLimits
from nexus_chain.distillation.teachers.errors import MoneySpentError, QuotaSpentError, SpendingRecordError
from nexus_chain.distillation.teachers.prices import to_pico, to_usd

log = logging.getLogger(__name__)

RECORD_VERSION = 1
LOCK_SECONDS = 30.0
"""For another program that writes."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    teacher TEXT NOT NULL, day TEXT NOT NULL, requests INTEGER NOT NULL, tokens INTEGER NOT NULL,
    pico_usd INTEGER NOT NULL, PRIMARY KEY (teacher, day)
);
CREATE TABLE IF NOT EXISTS open_calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, teacher TEXT NOT NULL, day TEXT NOT NULL, requests INTEGER NOT NULL,
    tokens INTEGER NOT NULL, pico_usd INTEGER NOT NULL
);
CREATE VIEW IF NOT EXISTS counted AS
    SELECT teacher, day, requests, tokens, pico_usd FROM spent
    UNION ALL SELECT teacher, day, requests, tokens, pico_usd FROM open_calls;
"""
_SUMS = "SELECT COALESCE(SUM(requests), 0), COALESCE(SUM(tokens), 0), COALESCE(SUM(pico_usd), 0) FROM counted"


@dataclass(frozen=True)
class TeacherUsage:
    """Open calls are in it with their worst case."""

    requests: int
    tokens: int
    cost_usd: Decimal


class SpendingRecord:
    """See the module. ``budget_usd``: None: no limit. ``wall_clock``: seconds since 1970. Raises SpendingRecordError.

    Every method may be called by any thread.
    """

    def __init__(
        self, path: Path | None, budget_usd: Decimal | None, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._place = "memory" if path is None else str(path)
        self._budget = None if budget_usd is None else to_pico(budget_usd)
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        with self._told("opened"):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=LOCK_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with self._told("read"):
                self._prepare()
        except SpendingRecordError:
            self._db.close()
            raise

    def open_call(self, teacher: str, tokens: int, pico_usd: int, limits: QuotaLimits) -> int:
        """Write down a call's worst case; its number. Raises QuotaSpentError, MoneySpentError, SpendingRecordError."""
        day = datetime.fromtimestamp(self._wall_clock(), UTC).strftime("%Y-%m-%d")
        with self._writing():
            self._check_quota(teacher, day, tokens, limits)
            self._check_money(pico_usd)
            row = (teacher, day, tokens, pico_usd)
            made = self._db.execute(
                "INSERT INTO open_calls (teacher, day, requests, tokens, pico_usd) VALUES (?, ?, 1, ?, ?)", row
            )
            return int(made.lastrowid or 0)

    def settle(self, number: int, tokens: int, pico_usd: int) -> None:
        """Replace an open call's worst case by what it came to.

        A record that cannot be written keeps the worst case: the answer was paid, so it is not thrown away.
        """
        try:
            with self._writing():
                (teacher, day) = self._db.execute(
                    "DELETE FROM open_calls WHERE id = ? RETURNING teacher, day", (number,)
                ).fetchone()
                self._db.execute(
                    "INSERT INTO spent VALUES (?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET requests = requests + 1,"
                    " tokens = tokens + excluded.tokens, pico_usd = pico_usd + excluded.pico_usd",
                    (teacher, day, tokens, pico_usd),
                )
        except SpendingRecordError as error:
            log.warning("a call stays counted with its worst case: %s", error.message)

    def cancel(self, number: int) -> None:
        """Forget an open call that certainly cost nothing."""
        try:
            with self._writing():
                self._db.execute("DELETE FROM open_calls WHERE id = ?", (number,))
        except SpendingRecordError as error:
            log.warning("a call that cost nothing stays counted: %s", error.message)

    def usage(self, teacher: str | None = None) -> TeacherUsage:
        """Of one teacher, or of all, since the record began. Raises SpendingRecordError."""
        with self._lock, self._told("read"):
            if teacher is None:
                requests, tokens, pico = self._db.execute(_SUMS).fetchone()
            else:
                requests, tokens, pico = self._db.execute(f"{_SUMS} WHERE teacher = ?", (teacher,)).fetchone()
        return TeacherUsage(requests, tokens, to_usd(pico))

    def close(self) -> None:
        """Nothing can be asked afterwards."""
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # the disk has it before the request goes out
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, RECORD_VERSION):
            raise SpendingRecordError(
                f"the record {self._place} has version {version}", advice="Update this program, or name another file."
            )
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {RECORD_VERSION}")
        (health,) = self._db.execute("PRAGMA quick_check").fetchone()
        if health != "ok":
            raise sqlite3.DatabaseError("it is damaged")

    def _check_quota(self, teacher: str, day: str, tokens: int, limits: QuotaLimits) -> None:
        spans = (
            ("day", day, limits.requests_per_day, limits.tokens_per_day),
            ("month", f"{day[:7]}-%", limits.requests_per_month, limits.tokens_per_month),
        )
        for span, days, most_requests, most_tokens in spans:
            query = f"{_SUMS} WHERE teacher = ? AND day LIKE ?"
            requests, used, _ = self._db.execute(query, (teacher, days)).fetchone()
            for what, count, most in (
                ("requests", requests + 1, most_requests),
                ("tokens", used + tokens, most_tokens),
            ):
                if most is not None and count > most:
                    raise QuotaSpentError(
                        f"{teacher} would be asked for {count} of {most} {what} of this {span}",
                        advice=f"Wait for the next {span} (UTC), or ask another teacher.",
                    )

    def _check_money(self, pico_usd: int) -> None:
        if self._budget is None or pico_usd == 0:
            return
        *_, spent = self._db.execute(_SUMS).fetchone()
        if spent + pico_usd > self._budget:
            left = to_usd(max(0, self._budget - spent))
            raise MoneySpentError(
                f"the call may cost {to_usd(pico_usd):f} USD, and {left:f} USD are left of the budget",
                advice="Raise budget_usd, lower max_tokens, or ask a cheaper teacher.",
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; other threads and programs wait."""
        with self._lock, self._told("written"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, TypeError, OverflowError) as error:
            raise SpendingRecordError(
                f"the record of spent money in {self._place} cannot be {what} ({error})",
                advice="Check the disk, or restore the file: without it the budget does not hold.",
            ) from error
