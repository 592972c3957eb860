"""Several gateways, each a process with threads, on one database: no wei is spent twice."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from node.gateway.ledger.books import DEPOSITS, audit_books, booked_balance, post, reserved, user
from node.gateway.ledger.database import Database
from tests.support import spending_process

GATEWAYS, ANSWERS, WEI = 3, 60, 100


def run_gateways(url: str) -> dict[str, int]:
    """Let them spend at once; how many answers ended how, of all."""
    command = [sys.executable, str(Path(spending_process.__file__)), url]
    running = [
        subprocess.Popen([*command, f"gateway-{number}", str(ANSWERS), str(WEI)], stdout=subprocess.PIPE, text=True)
        for number in range(GATEWAYS)
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * GATEWAYS
    ends = [json.loads(text) for text in said]
    return {end: sum(one[end] for one in ends) for end in ends[0]}


def spend_all(url: str, credit: int) -> tuple[dict[str, int], int]:
    database = Database(url)
    database.write(partial(post, key="fund", kind="test", moves={DEPOSITS: -credit, user("A"): credit}))
    ends = run_gateways(url)
    left = database.read(partial(booked_balance, account=user("A")))
    assert database.read(partial(booked_balance, account=reserved("A"))) == 0
    assert database.read(partial(booked_balance, account="nodes")) == ends["settled"] * (WEI - 1)
    assert left == credit - ends["settled"] * (WEI - 1)
    assert database.read(audit_books) == []
    database.close()
    return ends, left


def test_enough_credit_serves_every_answer(database_url: str) -> None:
    released = len(range(0, ANSWERS, 3))
    ends, _ = spend_all(database_url, GATEWAYS * ANSWERS * WEI)
    assert ends == {"settled": GATEWAYS * (ANSWERS - released), "released": GATEWAYS * released, "refused": 0}


def test_credit_that_runs_out_is_never_overdrawn(database_url: str) -> None:
    ends, left = spend_all(database_url, 20 * WEI)
    assert sum(ends.values()) == GATEWAYS * ANSWERS
    assert ends["settled"] <= 20 * WEI // (WEI - 1)
    assert ends["refused"] > 0
    assert left >= 0
