"""What the judge makes of the labelled claims in ``tests/vectors/judge``, each judged alone, one after the other.

A claim is labelled true, false, vacuous, undecidable or malformed by whoever wrote it. *Proved* is right for true
claims alone, and no true one may be *refuted*. ``recall``: the share of the decidable claims that are decided rightly.
Writes ``build/bench/judge.json``: ``claims``, ``decidable``, ``false_proved``, ``false_refuted``, ``recall``,
``median_ms``, ``slowest_ms``, and the same by kind; ``missed`` names the decidable claims that were not decided.

    python -m scripts.bench.judge
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus_chain.distillation.judge.errors import JudgeError
from nexus_chain.distillation.judge.judge import Judge
from nexus_chain.distillation.judge.verdict import Outcome
from scripts.bench.record import FOLDER, ROOT, write_record

CLAIMS = ROOT / "tests" / "vectors" / "judge"
REPORT = FOLDER / "judge.json"
WIDTH = 64


@dataclass(frozen=True)
class Judged:
    """A labelled claim, the verdict's outcome (None: the claim was refused), and how long it took."""

    labelled: dict[str, Any]
    outcome: Outcome | None
    vacuous: bool
    milliseconds: float

    @property
    def is_right(self) -> bool:
        """Whether a decidable claim was decided as labelled."""
        label = self.labelled["label"]
        if label == "vacuous":
            return self.vacuous
        return self.outcome is {"true": Outcome.PROVED, "false": Outcome.REFUTED}.get(label)


class HashedWords:
    """A vector of a text's words. Agreement decides no outcome, so any embedder does here."""

    name = "hashed words"

    def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """float64 [texts, WIDTH]."""
        rows = np.zeros((len(texts), WIDTH))
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[hashlib.sha256(word.encode()).digest()[0] % WIDTH] += 1
        return rows


def labelled_claims(folder: Path = CLAIMS) -> list[dict[str, Any]]:
    """All of them, by kind and in the order of their files."""
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def judged(judge: Judge, labelled: dict[str, Any]) -> Judged:
    """One claim."""
    began = time.perf_counter()
    try:
        verdict = judge.judge(labelled["claim"])
        outcome, vacuous = verdict.outcome, verdict.vacuous
    except JudgeError:
        outcome, vacuous = None, False
    return Judged(labelled, outcome, vacuous, 1000 * (time.perf_counter() - began))


def figures(results: Sequence[Judged]) -> dict[str, Any]:
    """What the bars are about."""
    decidable = [one for one in results if one.labelled["decidable"]]
    right = sum(one.is_right for one in decidable)
    return {
        "claims": len(results),
        "decidable": len(decidable),
        "false_proved": sum(one.outcome is Outcome.PROVED and one.labelled["label"] != "true" for one in results),
        "false_refuted": sum(one.outcome is Outcome.REFUTED and one.labelled["label"] == "true" for one in results),
        "recall": round(right / len(decidable), 4) if decidable else None,
        "median_ms": round(statistics.median(one.milliseconds for one in results), 2),
        "slowest_ms": round(max(one.milliseconds for one in results), 1),
    }


def main() -> int:
    """Run the bench; returns 1 where a bar is missed that does not depend on the machine."""
    with Judge(embedder=HashedWords()) as judge:
        judge.judge({"kind": "mathematics", "response": "2", "expected": "1+1"})  # the processes have started
        results = [judged(judge, one) for one in labelled_claims()]
    kinds = sorted({one.labelled["kind"] for one in results})
    by_kind = {kind: figures([one for one in results if one.labelled["kind"] == kind]) for kind in kinds}
    missed = [one.labelled["id"] for one in results if one.labelled["decidable"] and not one.is_right]
    total = figures(results)
    print(json.dumps(write_record(REPORT, {**total, "kinds": by_kind, "missed": missed}), indent=1))
    return 0 if total["false_proved"] == 0 and total["recall"] >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
