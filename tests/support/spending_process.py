"""A gateway in a process of its own that spends one account's credit as fast as it can; tests start several."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from node.gateway.accounts import Bill
from node.gateway.errors import PaymentRequiredError
from node.gateway.ledger.database import Database
from node.gateway.ledger.reservations import WantedCredit, release, reserve, settle


def spend(url: str, name: str, answers: int, wei: int, threads: int = 4) -> dict[str, int]:
    """Reserve ``wei`` for each answer; settle all but every third with one wei less. Returns how many ended how."""
    database = Database(url)

    def one(number: int) -> str:
        answer = f"{name}-{number}"
        try:
            wanted = WantedCredit("A", answer, wei, "key")
            database.write(partial(reserve, wanted=wanted, now=1_000.0, deadline=2_000.0))
        except PaymentRequiredError:
            return "refused"
        if number % 3 == 0:
            assert database.write(partial(release, answer=answer))
            return "released"
        assert database.write(partial(settle, answer=answer, bill=Bill(wei - 1, 0)))
        return "settled"

    with ThreadPoolExecutor(threads) as pool:
        ends = list(pool.map(one, range(answers)))
    database.close()
    return {end: ends.count(end) for end in ("settled", "released", "refused")}


if __name__ == "__main__":
    print(json.dumps(spend(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
