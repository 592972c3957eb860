"""The record of money and quotas: threads, programs, kills, damage."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.distillation.teachers.config import QuotaLimits
from nexus_chain.distillation.teachers.errors import MoneySpentError, SpendingRecordError, TeacherConfigError
from nexus_chain.distillation.teachers.prices import (
    TokenPrices,
    most_prompt_tokens,
    price_per_token,
    to_cents,
    to_pico,
    to_usd,
)
from nexus_chain.distillation.teachers.spending import SpendingRecord

FREE = QuotaLimits()
USD = 10**12


def record(path: Path | None, budget: str | None = None) -> SpendingRecord:
    return SpendingRecord(path, None if budget is None else Decimal(budget))


def test_open_calls_count_with_their_worst_case() -> None:
    found = record(None, "1")
    first = found.open_call("a", 100, USD * 6 // 10, FREE)
    with pytest.raises(MoneySpentError, match=r"may cost 0\.5\d* USD, and 0\.4\d* USD are left"):
        found.open_call("b", 100, USD // 2, FREE)
    found.settle(first, 10, USD // 10)
    assert found.usage() == found.usage("a")
    assert (found.usage().requests, found.usage().tokens, found.usage().cost_usd) == (1, 10, Decimal("0.1"))
    second = found.open_call("b", 100, USD * 9 // 10, FREE)
    found.cancel(second)
    assert found.usage("b").requests == 0
    found.close()


PROGRAM = """
import os, signal, sys
from decimal import Decimal
from pathlib import Path
from nexus_chain.distillation.teachers.config import QuotaLimits
from nexus_chain.distillation.teachers.spending import SpendingRecord
record = SpendingRecord(Path(sys.argv[1]), Decimal(1))
record.settle(record.open_call("a", 10, 10**11, QuotaLimits()), 1, 10**10)
record.open_call("a", 10, 5 * 10**11, QuotaLimits())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_middle_of_a_call_counts_it_in_full(tmp_path: Path) -> None:
    file = tmp_path / "teachers.sqlite"
    ended = subprocess.run([sys.executable, "-c", PROGRAM, str(file)], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    found = record(file, "1")
    assert found.usage("a").cost_usd == Decimal("0.51")
    with pytest.raises(MoneySpentError):
        found.open_call("a", 10, 5 * 10**11, FREE)
    found.open_call("a", 10, 49 * 10**10, FREE)
    found.close()


def test_two_programs_share_one_budget(tmp_path: Path) -> None:
    """Each has its own connection, as two programs have."""
    file = tmp_path / "teachers.sqlite"
    records = [record(file, "1") for _ in range(2)]
    opened: list[int] = []
    gate = threading.Barrier(8)

    def spend(own: SpendingRecord) -> None:
        gate.wait(60)
        for _ in range(5):
            try:
                opened.append(own.open_call("a", 1, USD // 10, FREE))
            except MoneySpentError:
                return

    threads = [threading.Thread(target=spend, args=(records[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == len(set(opened)) == 10
    assert [one.usage().cost_usd for one in records] == [1, 1]
    for one in records:
        one.close()


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be read as one" * 50, b"SQLite format 3\0"]
)
def test_a_damaged_record(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "teachers.sqlite"
    file.write_bytes(content)
    with pytest.raises(SpendingRecordError, match="cannot be read"):
        record(file)
    assert file.read_bytes() == content


def test_a_record_of_the_future(tmp_path: Path) -> None:
    file = tmp_path / "teachers.sqlite"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(SpendingRecordError, match="has version 7"):
        record(file)


def test_nothing_is_asked_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SpendingRecordError, match="cannot be opened"):
        record(tmp_path / "folder")
    found = record(tmp_path / "teachers.sqlite", "1")
    number = found.open_call("a", 1, 5, FREE)
    other = sqlite3.connect(tmp_path / "teachers.sqlite")
    other.execute("DROP VIEW counted")
    other.execute("DROP TABLE open_calls")
    other.commit()
    other.close()
    with pytest.raises(SpendingRecordError):
        found.open_call("a", 1, 5, FREE)
    found.settle(number, 1, 5)  # the answer was paid: it is given all the same
    found.cancel(number)
    found.close()
    with pytest.raises(SpendingRecordError):
        found.open_call("a", 1, 5, FREE)


def test_a_full_disk_is_no_free_ride(tmp_path: Path) -> None:
    found = record(tmp_path / "teachers.sqlite")
    found._db.execute("PRAGMA max_page_count = 1")  # SQLite's own word for a disk that holds no more

    def fill() -> None:
        for _ in range(2000):
            found.open_call("a" * 100, 1, 5, FREE)

    with pytest.raises(SpendingRecordError, match="full"):
        fill()
    found.close()


@settings(max_examples=50)
@given(
    st.decimals("0", "10", places=9), st.decimals("0", "10", places=9),
    st.integers(0, 10**7), st.integers(0, 10**6),
)  # fmt: skip
def test_costs_are_exact(read: Decimal, written: Decimal, prompt: int, answer: int) -> None:
    prices = TokenPrices(price_per_token("read", read), price_per_token("written", written))
    exact = to_usd(prices.cost(prompt, answer))
    assert exact * 1000 == read * prompt + written * answer
    assert to_pico(exact) == prices.cost(prompt, answer)
    assert exact <= to_cents(exact) < exact + Decimal("0.01")


@given(st.text(min_size=1).filter(str.strip), st.text(), st.integers(0, 300))
def test_no_tokenizer_makes_more_of_a_prompt(prompt: str, system: str, overhead: int) -> None:
    most = most_prompt_tokens(prompt, system, overhead)
    assert most == len(prompt.encode()) + len(system.encode()) + overhead


@pytest.mark.parametrize("price", ["-1", "NaN", "Infinity", "11", "0.0000000001"])
def test_no_price(price: str) -> None:
    with pytest.raises(TeacherConfigError, match="the price"):
        price_per_token("the price", Decimal(price))


def test_a_closed_record_is_one_file(tmp_path: Path) -> None:
    found = record(tmp_path / "teachers.sqlite")
    found.open_call("a", 1, 5, FREE)
    found.close()
    assert os.listdir(tmp_path) == ["teachers.sqlite"]
