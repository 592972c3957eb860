"""From what a distillation leaves behind to its certificate: assembled offline, nothing is measured here.

A distillation hands over a folder. Its files of records are ``dataset.jsonl``, ``verdicts.jsonl``, ``artefacts.jsonl``
and ``evaluation.jsonl``; ``adapter_model.safetensors`` and ``adapter_config.json`` are as PEFT writes them;
``distillation.json`` holds the rest, as a ``DistillationSummary``. ``keep_distillation`` writes the first five.

    keep_distillation(folder, records, summary)
    publication = DistillationPublication.prepare(folder, release, store)
    ...register release.manifest_cid and release.commitment on-chain, with the parent...
    signed = publication.certificate(publisher, version_id, parent).sign(wallet)
    cid = store.add_bytes(signed.to_bytes())       # anchor str(cid) and signed.content_hash
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from nexus_chain.certificates.certificate import CertifiedModel
from nexus_chain.certificates.distillation_certificate import (
    EXACT_MATCH,
    CertifiedAdaptation,
    CertifiedDataset,
    CertifiedEvaluation,
    CertifiedJudge,
    CertifiedParent,
    CertifiedScore,
    CertifiedTeacher,
    DistillationCertificate,
    JudgeSetup,
    TeacherBill,
    tier_of,
)
from nexus_chain.certificates.distillation_counting import (
    by_answer,
    named_artefacts,
    outcome_counts,
    require_auditable,
    total_cost,
    verified_count,
)
from nexus_chain.certificates.distillation_records import (
    ArtefactRecord,
    ExampleRecord,
    ProblemRecord,
    VerdictRecord,
    artefact_records,
    artefacts_root,
)
from nexus_chain.certificates.errors import DistillationRecordError
from nexus_chain.certificates.publication import Release
from nexus_chain.content.block_store import BlockStore
from nexus_chain.content.canonical import canonical_bytes, read_canonical
from nexus_chain.content.cid import Cid
from nexus_chain.content.field_forms import NonEmpty, Positive, require_forms
from nexus_chain.content.record_lines import RecordLines
from nexus_chain.distillation.judge.verdict import Artefact
from nexus_chain.distillation.lora.adapter import ADAPTER_FILE
from nexus_chain.program.file_names import ADAPTER_CONFIG_FILE
from nexus_chain.staging import staged
from nexus_chain.versions.manifest import FileReference

DATASET_FILE = "dataset.jsonl"
VERDICTS_FILE = "verdicts.jsonl"
ARTEFACTS_FILE = "artefacts.jsonl"
EVALUATION_FILE = "evaluation.jsonl"
SUMMARY_FILE = "distillation.json"

_R = TypeVar("_R")


@dataclass(frozen=True)
class DistillationSummary:
    """What no file of records says. ``configuration``, ``seeds``, ``libraries``: see ``CertifiedAdaptation``.

    ``before`` and ``after``: of the integer programs of parent and child (``distillation_evaluation.score_of``).
    """

    judge: JudgeSetup
    teachers: tuple[TeacherBill, ...]
    configuration: dict[str, str]
    seeds: dict[str, int]
    libraries: dict[str, str]
    cpu_class: NonEmpty
    max_tokens: Positive
    before: CertifiedScore
    after: CertifiedScore
    metric: str = EXACT_MATCH

    def __post_init__(self) -> None:
        require_forms(self, "distillation")


@dataclass(frozen=True)
class DistillationRecords:
    """Everything that was judged, learned and evaluated, in the order that the files will have."""

    examples: tuple[ExampleRecord, ...]
    verdicts: tuple[VerdictRecord, ...]
    artefacts: tuple[Artefact, ...]
    problems: tuple[ProblemRecord, ...]


def keep_distillation(folder: Path, records: DistillationRecords, summary: DistillationSummary) -> None:
    """Write the files of records and the summary into ``folder``, all or none. Raises OSError."""
    with staged(folder) as part:
        (part / DATASET_FILE).write_bytes(RecordLines.of(records.examples).to_bytes())
        (part / VERDICTS_FILE).write_bytes(RecordLines.of(records.verdicts).to_bytes())
        (part / ARTEFACTS_FILE).write_bytes(RecordLines.of(artefact_records(records.artefacts)).to_bytes())
        (part / EVALUATION_FILE).write_bytes(RecordLines.of(records.problems).to_bytes())
        (part / SUMMARY_FILE).write_bytes(canonical_bytes(summary))


@dataclass(frozen=True)
class DistillationPublication:
    """A distillation whose files are in the block store, with the release of the version that learned."""

    release: Release
    summary: DistillationSummary
    dataset: CertifiedDataset
    judge: CertifiedJudge
    teachers: tuple[CertifiedTeacher, ...]
    training: CertifiedAdaptation
    evaluation: CertifiedEvaluation

    @classmethod
    def prepare(cls, folder: Path, release: Release, store: BlockStore) -> DistillationPublication:
        """Read ``folder``, count, and keep every file that an auditor will want in ``store``.

        Raises DistillationRecordError where a file is missing or contradicts another, CanonicalFormatError.
        """
        summary = read_canonical(DistillationSummary, _bytes(folder, SUMMARY_FILE), SUMMARY_FILE)
        dataset = _lines(folder, DATASET_FILE, ExampleRecord)
        verdicts = _lines(folder, VERDICTS_FILE, VerdictRecord)
        artefacts = _lines(folder, ARTEFACTS_FILE, ArtefactRecord)
        problems = _lines(folder, EVALUATION_FILE, ProblemRecord)
        _require_artefacts(verdicts, artefacts)
        verdict_of = by_answer(verdicts.records)
        _require_verdicts(dataset.records, verdict_of)
        require_auditable(dataset.records, problems.records)
        verified = verified_count(dataset.records, verdict_of)
        return cls(
            release=release,
            summary=summary,
            dataset=CertifiedDataset(
                _stored(folder, DATASET_FILE, store), dataset.root, len(dataset), verified, tier_of(verified)
            ),
            judge=_judge(summary.judge, folder, store, verdicts),
            teachers=_teachers(summary.teachers, dataset.records, verdicts.records),
            training=CertifiedAdaptation(
                summary.configuration,
                summary.seeds,
                summary.libraries,
                summary.cpu_class,
                _stored(folder, ADAPTER_FILE, store),
                _stored(folder, ADAPTER_CONFIG_FILE, store),
            ),
            evaluation=CertifiedEvaluation(
                _stored(folder, EVALUATION_FILE, store),
                problems.root,
                len(problems),
                summary.max_tokens,
                summary.before,
                summary.after,
                summary.metric,
            ),
        )

    @property
    def cids(self) -> tuple[Cid, ...]:
        """Every file that an auditor needs beside the certificate and the parent's own files: what to pin."""
        judge, training = self.judge, self.training
        files = (
            self.dataset.file,
            judge.verdicts,
            judge.artefacts,
            self.evaluation.problems,
            training.adapter,
            training.adapter_config,
        )
        return (*self.release.cids, *(Cid.parse(file.cid) for file in files))

    def certificate(self, publisher: str, model_version: bytes, parent: CertifiedParent) -> DistillationCertificate:
        """The unsigned certificate of the version registered as ``model_version`` by ``publisher``."""
        release = self.release
        model = CertifiedModel(
            name=release.manifest.name,
            version=release.manifest.version,
            model_version="0x" + model_version.hex(),
            parent=parent.model_version,
            publisher=publisher.lower(),
            layers=release.model.program.shape.layers,
            weights_root="0x" + release.commitment.weights_root.hex(),
            program_root="0x" + release.commitment.program_root.hex(),
            tokenizer_sha256="0x" + release.tokenizer_sha256.hex(),
            manifest=release.manifest_cid,
            activation_bits=asdict(release.recipe.widths),
        )
        return DistillationCertificate(
            model=model,
            parent=parent,
            dataset=self.dataset,
            judge=self.judge,
            teachers=self.teachers,
            cost_usd=f"{total_cost(self.teachers):f}",
            lost=sum(teacher.lost for teacher in self.teachers),
            training=self.training,
            evaluation=self.evaluation,
        )


def _judge(setup: JudgeSetup, folder: Path, store: BlockStore, verdicts: RecordLines[VerdictRecord]) -> CertifiedJudge:
    digests = named_artefacts(verdicts.records)
    return CertifiedJudge(
        **vars(setup),
        verdicts=_stored(folder, VERDICTS_FILE, store),
        verdicts_root=verdicts.root,
        outcomes=outcome_counts(verdicts.records),
        vacuous=sum(verdict.vacuous for verdict in verdicts.records),
        artefacts=_stored(folder, ARTEFACTS_FILE, store),
        artefacts_root=artefacts_root(digests),
        artefact_count=len(digests),
    )


def _teachers(
    bills: tuple[TeacherBill, ...], examples: tuple[ExampleRecord, ...], verdicts: tuple[VerdictRecord, ...]
) -> tuple[CertifiedTeacher, ...]:
    """What each teacher did and cost, by name. Raises DistillationRecordError unless each has one bill."""
    answers, accepted = (Counter(record.source for record in records) for records in (verdicts, examples))
    refuted = Counter(verdict.source for verdict in verdicts if verdict.outcome == "refuted")
    priced = {bill.name: bill for bill in bills}
    if len(priced) < len(bills):
        raise DistillationRecordError("a teacher has two bills", advice="Add them up: a certificate has one for each.")
    unbilled = sorted((set(answers) | set(accepted)).difference(priced))
    if unbilled:
        raise DistillationRecordError(f"{unbilled[0]!r} answered and has no bill", advice="State what it cost, or 0.")
    return tuple(
        CertifiedTeacher(**vars(bill), answers=answers[name], accepted=accepted[name], refuted=refuted[name])
        for name, bill in sorted(priced.items())
    )


def _require_verdicts(examples: Sequence[ExampleRecord], verdict_of: Mapping[tuple[str, str], VerdictRecord]) -> None:
    """An audit refuses a certificate with an example that nobody judged; so it is never made."""
    for number, example in enumerate(examples):
        if (example.source, example.answer) not in verdict_of:
            raise DistillationRecordError(
                f"no verdict is about example {number} of {example.source!r}",
                advice="Take it out of the dataset, or have it judged.",
            )


def _require_artefacts(verdicts: RecordLines[VerdictRecord], artefacts: RecordLines[ArtefactRecord]) -> None:
    named = sorted(named_artefacts(verdicts.records))
    if [record.sha256 for record in artefacts.records] != named:
        raise DistillationRecordError(
            f"{ARTEFACTS_FILE} does not hold exactly the artefacts that {VERDICTS_FILE} names",
            advice="Write both with keep_distillation.",
        )


def _lines(folder: Path, name: str, kind: type[_R]) -> RecordLines[_R]:
    return RecordLines.read(kind, _bytes(folder, name), name)


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise _missing(folder, name) from error


def _stored(folder: Path, name: str, store: BlockStore) -> FileReference:
    if not (folder / name).is_file():
        raise _missing(folder, name)
    return FileReference.store_path(folder / name, store)


def _missing(folder: Path, name: str) -> DistillationRecordError:
    return DistillationRecordError(
        f"{folder} has no readable {name}", advice="Give the folder that a distillation kept."
    )
