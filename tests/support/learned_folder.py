"""A distillation's folder as a run leaves it: teachers that know, lie and fail, a judge that adds up, three epochs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from nexus_chain.distillation.distiller.claims import MathematicsProblem
from nexus_chain.distillation.distiller.distillation_journal import DistillationJournal
from nexus_chain.distillation.distiller.distiller import AutonomousDistiller
from nexus_chain.distillation.distiller.errors import SourceError
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.source import SourceAnswer
from nexus_chain.distillation.distiller.source_record import SourceRecord
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict
from nexus_chain.distillation.lora.metrics import TrainingMetrics
from nexus_chain.distillation.lora.registry import VersionRegistry
from nexus_chain.distillation.lora.version import LearnedVersion
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.workflows.distilling import proved_example
from nexus_chain.workflows.learning.kept_choices import keep_plan
from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder

PARENT = "ab" * 32
PROMPTS = 6


@dataclass(frozen=True)
class AddingTeacher:
    """Answers "What is A + B?" and is ``off`` by that much; fails where it is None."""

    name: str
    off: int | None
    is_free: bool = True
    is_local: bool = True

    @property
    def provider(self) -> str:
        return f"local {self.name}"

    def ask(self, prompt: str) -> SourceAnswer:
        if self.off is None:
            raise SourceError("the server is away", advice="Start it.")
        left, right = (int(word.strip("?")) for word in prompt.split() if word.strip("?").isdigit())
        return SourceAnswer(f"The answer is {left + right + self.off}.", Decimal("0.01"), 5, 12.0)


class AddingJudge:
    """Proves what adds up, and refutes what does not."""

    def judge(self, claim: Mapping[str, Any]) -> Verdict:
        left, right = str(claim["expected"]).split("+")
        if str(int(left) + int(right)) in claim["response"]:
            proof = (Artefact("sum", f"(assert false) ; {claim['response']}\n(check-sat)"),)
            return Verdict(Kind.MATHEMATICS, Outcome.PROVED, f"{left} + {right}", "Both solvers.", artefacts=proof)
        return Verdict(Kind.MATHEMATICS, Outcome.REFUTED, f"{left} + {right}", "It does not add up.", {"x": "1"})


def write_learned_run(root: Path, prompts: int = PROMPTS) -> RunFolder:
    """Everything that a run keeps and the page shows, in ``root``."""
    folder = RunFolder(root)
    root.mkdir(parents=True)
    keep_plan(DistillationPlan(PARENT, root / "secret-checkpoint", "child", "1.1.0"), folder)
    requests = [
        DistillationRequest(f"What is {n} + {n + 1} ?", category="math", problem=MathematicsProblem(f"{n}+{n + 1}"))
        for n in range(10, 10 + prompts)
    ]
    teachers = [AddingTeacher("oracle", 0), AddingTeacher("second", 0), AddingTeacher("liar", 1),
                AddingTeacher("asleep", None)]  # fmt: skip
    record = SourceRecord(folder.record)
    try:
        with (
            DistillationJournal(folder.journal) as journal,
            AutonomousDistiller(teachers, AddingJudge(), record, journal) as distiller,
        ):
            results = distiller.distill_batch(requests)
    finally:
        record.close()
    with CognitivePersistence(folder.memory) as memory:
        found = (proved_example(*pair) for pair in zip(requests, results, strict=True))
        memory.save_examples(one for one in found if one is not None)
    _write_training(folder)
    return folder


def _write_training(folder: RunFolder) -> None:
    folder.trainings.mkdir()
    now = time.time()
    curve = tuple(TrainingMetrics(n, 2.0 / n, 1 - 0.5 / n, 4.0 / n, now + n) for n in (1, 2, 3))
    base = LearnedVersion(0, "/operator/base", now, 0, 0.0, "", "cd" * 32)
    registry = VersionRegistry(folder.trainings)
    registry.add(base)
    trained = replace(base, version=-1, num_examples=1_462, model_path="/operator/adapter", adapter_sha256="ef" * 32)
    registry.set_deployed(registry.add(replace(trained, parent=0, cpu_class="x86-64-v3", metrics=curve)).version)
    folder.records.mkdir()
    names = ("hits", "accuracy", "accuracy_low", "accuracy_high", "loss", "perplexity")
    before = dict(zip(names, (12, "0.04", "0.0230", "0.0685", "2.1", "8.2"), strict=True))
    after = dict(zip(names, (231, "0.77", "0.7192", "0.8141", "0.4", "1.5"), strict=True))
    (folder.records / "distillation.json").write_text(json.dumps({"before": before, "after": after}))
