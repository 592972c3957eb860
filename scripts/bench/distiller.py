"""How often the right answer is taken where the judge can decide, with two of four sources adversarial.

Tasks are integer expressions. In each one honest source is right, the other honest one in half of them, and both liars
give a wrong number, in words that try to move a judge. Once the liars agree on it, once each has its own. Beside the
distiller, the same answers are put to a majority vote, whose ties the dice decide. Writes
``build/bench/distiller.json``: ``tasks`` of each kind, and by ``colluding`` and ``independent`` liars
``right_share`` (of the distiller's choices), ``majority_right_share``, ``undecided``, ``tasks_per_second``.

    python -m scripts.bench.distiller [--tasks 1000] [--seed 16]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nexus_chain.distillation.distiller.distillation_journal import DistillationJournal
from nexus_chain.distillation.distiller.distiller import AutonomousDistiller
from nexus_chain.distillation.distiller.judging import ClaimJudge
from nexus_chain.distillation.distiller.result import DistillationResult
from nexus_chain.distillation.distiller.source_record import SourceRecord
from nexus_chain.distillation.judge.judge import Judge
from scripts.bench.record import FOLDER, write_record
from tests.support.arithmetic_tasks import (
    ArithmeticTask,
    arithmetic_tasks,
    majority_vote,
    sources_of,
)

BAR = 0.99


def distilled(tasks: Sequence[ArithmeticTask], judge: ClaimJudge, folder: Path) -> list[DistillationResult]:
    """The results of one batch with a journal and a record of its own in ``folder``."""
    record = SourceRecord(folder / "record.sqlite3")
    try:
        with (
            DistillationJournal(folder / "journal.sqlite3") as journal,
            AutonomousDistiller(sources_of(tasks), judge, record, journal) as distiller,
        ):
            return distiller.distill_batch([task.request() for task in tasks])
    finally:
        record.close()


def compared(count: int, seed: int, judge: ClaimJudge, *, colluding: bool) -> dict[str, Any]:
    """Shares of right choices, by the distiller and by the majority, over the same answers."""
    tasks, dice = arithmetic_tasks(count, seed, colluding=colluding), random.Random(seed)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        results = distilled(tasks, judge, Path(folder))
    seconds = time.perf_counter() - started
    voted = [majority_vote(list(task.replies.values()), dice) for task in tasks]
    return {
        "right_share": _share([task.is_right(one.best_response) for task, one in zip(tasks, results, strict=True)]),
        "majority_right_share": _share([task.is_right(text) for task, text in zip(tasks, voted, strict=True)]),
        "undecided": sum(one.best_response is None for one in results),
        "tasks_per_second": round(count / seconds, 1),
    }


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--out", type=Path, default=FOLDER / "distiller.json")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"tasks": arguments.tasks, "sources": 4, "adversarial": 2, "bar": BAR}
    with Judge() as judge:
        for name, colluding in (("colluding", True), ("independent", False)):
            figures[name] = compared(arguments.tasks, arguments.seed, judge, colluding=colluding)
    print(json.dumps(write_record(arguments.out, figures), indent=1))
    return 0 if min(figures["colluding"]["right_share"], figures["independent"]["right_share"]) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
