"""The whole loop: ask, judge, remember, train, measure, import, publish with a certificate.

Each stage leaves its result in the run's folder. The same call after an interruption goes on from there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nexus_chain.certificates.distillation_certificate import CertifiedScore
from nexus_chain.certificates.distillation_counting import require_auditable
from nexus_chain.certificates.distillation_evaluation import is_deployable
from nexus_chain.certificates.distillation_publication import keep_distillation
from nexus_chain.distillation.curriculum.course import curriculum
from nexus_chain.distillation.distiller.agreement import Agreement, ExactAgreement
from nexus_chain.distillation.judge.judge import Judge
from nexus_chain.distillation.judge.solvers import SolverLimits
from nexus_chain.distillation.lora.adapter import ADAPTER_FILE
from nexus_chain.distillation.lora.errors import NotBetterError
from nexus_chain.program import IntegerModel
from nexus_chain.program.file_names import ADAPTER_CONFIG_FILE, TOKENIZER_FILE
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.quality import GATE
from nexus_chain.staging import staged, write_whole
from nexus_chain.workflows.distilling import DescribedSource
from nexus_chain.workflows.importing import Measuring, convert_measured, keep_model
from nexus_chain.workflows.learning.adapting import Adaptation, adapt
from nexus_chain.workflows.learning.certifying import bills_of, records_of, summary_of
from nexus_chain.workflows.learning.collecting import CollectedAnswers, collect_answers
from nexus_chain.workflows.learning.evaluating import ProgramUnderTest, evaluate, problem_records
from nexus_chain.workflows.learning.kept_choices import keep_models, keep_plan, kept_models
from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder
from nexus_chain.workflows.observer import SILENT, TaskObserver
from nexus_chain.workflows.publishing import PublishedVersion, VersionRequest, publish
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class LearnedModel:
    """What a model became, measured and not published yet. ``seconds``: by stage."""

    collected: CollectedAnswers
    adaptation: Adaptation
    before: CertifiedScore
    after: CertifiedScore
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_better(self) -> bool:
        """Whether the child may take the parent's place; see component 5 of the design."""
        return is_deployable(self.before, self.after)


def learn(
    plan: DistillationPlan,
    parent: ProgramUnderTest,
    sources: Sequence[DescribedSource],
    folder: RunFolder,
    observer: TaskObserver = SILENT,
    *,
    judged: bool = True,
    agreement: Agreement | None = None,
) -> LearnedModel:
    """Everything up to the measured child; what a certificate states is in ``folder.records`` then.

    ``judged`` False: no judge decides and nothing can be certified, to see what the judge is worth. ``agreement``: how
    answers are compared; None: by the same final answer. Raises
    DistillationRecordError where an audit would refuse what was collected (before anything is trained),
    DistillationError (OtherPlanError where the folder is another run's), QualityError where the child does not pass
    the import's gate, and the importer's errors.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    compared = agreement or ExactAgreement()
    keep_plan(plan, folder, judged=judged, agreement=compared.name)
    keep_models(sources, folder)
    clock = _StageClock()
    course = curriculum(plan.seed, training=plan.training, held_out=plan.held_out, generators=plan.generators)
    problems = problem_records(course.held_out)
    if judged:
        require_auditable((), problems)  # before anybody is paid
    with clock.stage("before"):
        before = evaluate(parent, problems, plan.answer_tokens, folder.scores, observer)
    with clock.stage("answers"), ExitStack() as stack:
        judge = stack.enter_context(Judge()) if judged else None
        asked = [one.source for one in sources]
        collected = collect_answers(plan, course.training, asked, judge, folder, observer, compared)
    records = records_of(collected, problems) if judged else None
    if records is not None:
        require_auditable(records.examples, records.problems)  # before an hour of training, not after it
    with clock.stage("training"):
        adaptation = adapt(plan, course.held_out, folder, observer)
    with clock.stage("import"):
        child = import_child(adaptation, folder, observer)
    with clock.stage("after"):
        after = evaluate(child, problems, plan.answer_tokens, folder.scores, observer)
    learned = LearnedModel(collected, adaptation, before, after, clock.seconds)
    if records is not None:
        bills = bills_of(collected.bills, kept_models(folder))
        summary = summary_of(bills, adaptation, SolverLimits(), plan.answer_tokens, (before, after))
        _keep_adapter(Path(adaptation.version.model_path), folder.records)
        keep_distillation(folder.records, records, summary)
    return learned


def publish_child(
    workspace: Workspace, plan: DistillationPlan, learned: LearnedModel, folder: RunFolder, ipfs: str | None = None
) -> PublishedVersion:
    """Register the child with its parent named, and anchor its certificate. Raises NotBetterError, and as ``publish``.

    A child that is not better is not published: see ``LearnedModel.is_better``.
    """
    if not learned.is_better:
        raise NotBetterError(
            f"the child answers {learned.after.hits} of the held-out problems right, the parent {learned.before.hits}: "
            "a rise of more than 5 points and an interval above the old accuracy are needed",
            advice="Keep the parent, and learn from more examples.",
        )
    wanted = VersionRequest(
        learned.adaptation.merged,
        plan.version,
        None,  # the gate has judged it in ``learn``
        plan.price,
        plan.name,
        plan.parent,
        certified=False,
        shards=plan.shards,
        distillation=folder.records,
    )
    return publish(workspace, wanted, ipfs)


def import_child(adaptation: Adaptation, folder: RunFolder, observer: TaskObserver = SILENT) -> ProgramUnderTest:
    """The integer program of the merged weights, made and judged by the gate once. Raises QualityError past the gate.

    INVARIANT: what is published later is what is measured now: the recipe is written beside the merged weights.
    """
    kept = folder.child(adaptation.version.adapter_sha256)
    if not kept.is_dir():
        with observer.stage("Importing the child"):
            imported = convert_measured(adaptation.merged, Measuring(GATE), observer)
            write_whole(adaptation.merged / RECIPE_FILE, imported.recipe.to_json())
            keep_model(imported.model, imported.recipe, adaptation.merged, kept)
    return ProgramUnderTest(IntegerModel.load(kept), kept / TOKENIZER_FILE, "the child")


def _keep_adapter(trained: Path, folder: Path) -> None:
    with staged(folder) as part:
        for name in (ADAPTER_FILE, ADAPTER_CONFIG_FILE):
            shutil.copyfile(trained / name, part / name)


class _StageClock:
    """How long each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)
