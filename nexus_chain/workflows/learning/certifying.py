"""Fourth stage: everything that the certificate states, written into one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from nexus_chain.certificates.distillation_certificate import LAST_NUMBER, CertifiedScore, JudgeSetup, TeacherBill
from nexus_chain.certificates.distillation_publication import (
    DistillationRecords,
    DistillationSummary,
)
from nexus_chain.certificates.distillation_records import ExampleRecord, ProblemRecord, VerdictRecord
from nexus_chain.distillation.distiller.distillation_journal import JudgedAnswer, SourceBill
from nexus_chain.distillation.judge.solvers import SolverLimits
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.training_job import library_versions
from nexus_chain.distillation.memory.example import VerifiedExample
from nexus_chain.workflows.learning.adapting import Adaptation
from nexus_chain.workflows.learning.collecting import CollectedAnswers
from nexus_chain.workflows.learning.kept_choices import UNKNOWN_MODEL

SOLVER_PACKAGES = ("cvc5", "z3-solver")
PLACE_SETTINGS = ("model_name", "dataset_path", "checkpoint_steps")
"""Settings that say where things lie, and change no adapter."""


def records_of(collected: CollectedAnswers, problems: Sequence[ProblemRecord]) -> DistillationRecords:
    """What was judged, learned and evaluated, as certificates keep it."""
    return DistillationRecords(
        examples=tuple(_example(one) for one in collected.dataset.examples),
        verdicts=tuple(_verdict(one) for one in collected.judged),
        artefacts=tuple(artefact for one in collected.judged for artefact in one.verdict.artefacts),
        problems=tuple(problems),
    )


def summary_of(
    bills: Sequence[TeacherBill],
    adaptation: Adaptation,
    limits: SolverLimits,
    max_tokens: int,
    scores: tuple[CertifiedScore, CertifiedScore],
) -> DistillationSummary:
    """What no file of records says. ``scores``: of the parent and of the child."""
    return DistillationSummary(
        judge=JudgeSetup(
            _versions(SOLVER_PACKAGES), limits.z3_rlimit, limits.cvc5_rlimit, limits.memory, f"{limits.seconds:f}"
        ),
        teachers=tuple(sorted(bills, key=lambda bill: bill.name)),
        configuration=training_settings(adaptation.config),
        seeds={"training": adaptation.config.seed},
        libraries=library_versions(),
        cpu_class=adaptation.version.cpu_class,
        max_tokens=max_tokens,
        before=scores[0],
        after=scores[1],
        metric=LAST_NUMBER,
    )


def training_settings(config: TrainingConfig) -> dict[str, str]:
    """Every setting that the adapter depends on, as JSON text by name."""
    return {name: json.dumps(value) for name, value in config.to_json().items() if name not in PLACE_SETTINGS}


def bills_of(bills: Sequence[SourceBill], models: Mapping[str, str]) -> list[TeacherBill]:
    """``bills``: the journal's, of everybody who was ever asked. ``models``: by the source's name."""
    return [
        TeacherBill(
            name=bill.source,
            provider=bill.provider,
            model=models.get(bill.source, UNKNOWN_MODEL),
            cost_usd=f"{bill.costs.cost_usd:f}",
            lost=bill.costs.lost,
        )
        for bill in bills
    ]


def _example(example: VerifiedExample) -> ExampleRecord:
    return ExampleRecord(example.prompt, example.response, example.source, example.category, example.confidence)


def _verdict(judged: JudgedAnswer) -> VerdictRecord:
    return VerdictRecord.of(judged.verdict, judged.prompt, judged.response, judged.source, judged.claim)


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {name: version(name) for name in packages}
