"""A process that distills a batch, to be killed: ``python distilling_process.py FOLDER ADDRESS REQUESTS AGAIN``.

It says when it begins to ask, and ends with one JSON line: how many were resumed, and the best sources.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from nexus_chain.distillation.distiller.claims import MathematicsProblem
from nexus_chain.distillation.distiller.distillation_journal import AskAgainPolicy, DistillationJournal
from nexus_chain.distillation.distiller.distiller import AutonomousDistiller
from nexus_chain.distillation.distiller.options import BatchProgress, DistillationOptions
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.source import SourceAnswer
from nexus_chain.distillation.distiller.source_record import SourceRecord
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict

NAMES = ("one", "two", "three")


@dataclass(frozen=True)
class LoopbackSource:
    name: str
    address: str
    is_free: bool = False
    is_local: bool = False

    @property
    def provider(self) -> str:
        return self.name

    def ask(self, prompt: str) -> SourceAnswer:
        body = json.dumps({"source": self.name, "prompt": prompt}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.address, body), timeout=60) as reply:
            found = json.load(reply)
        return SourceAnswer(found["text"], Decimal(found["cost_usd"]), 1, 1.0)


class TwoIsRight:
    def judge(self, claim: Mapping[str, Any]) -> Verdict:
        if claim["response"].startswith("two "):
            proof = (Artefact("it", f"(assert false) ; {claim['response']}\n(check-sat)"),)
            return Verdict(Kind.MATHEMATICS, Outcome.PROVED, "It.", "It is two.", artefacts=proof)
        return Verdict(Kind.MATHEMATICS, Outcome.REFUTED, "It.", "It is not two.", {"x": "2"})


def requests(count: int) -> list[DistillationRequest]:
    problem = MathematicsProblem("2")
    return [DistillationRequest(f"question {n}", category="math", problem=problem) for n in range(count)]


def distill(folder: Path, address: str, count: int, again: AskAgainPolicy) -> dict[str, Any]:
    resumed = 0

    def observe(progress: BatchProgress) -> None:
        nonlocal resumed
        resumed = progress.resumed

    record = SourceRecord(folder / "record")
    sources = [LoopbackSource(name, address) for name in NAMES]
    options = DistillationOptions(ask_again=again)
    with (
        DistillationJournal(folder / "journal") as journal,
        AutonomousDistiller(sources, TwoIsRight(), record, journal, options=options) as distiller,
    ):
        results = distiller.distill_batch(requests(count), observe)
    return {"resumed": resumed, "best": [result.best_source for result in results]}


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    policy = AskAgainPolicy(after_crash=sys.argv[4] == "again")
    print(json.dumps(distill(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), policy)), flush=True)
