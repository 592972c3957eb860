"""The certificate of a model version that learned from others: from whom, what was proved, and what it gained.

It stands where today's certificate stands: one document for a version, signed and anchored alike (``signing.py``). The
section ``model`` is today's, field by field. The parent's own certificate, where it has one, is linked by its CID. So
a chain of versions is a chain of documents, and the contract that keeps one certificate a version stays as it is.

Amounts of money and measured figures are decimal strings, so that two programs never differ in how they write them.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.certificates.certificate import CertifiedModel
from nexus_chain.certificates.signing import Signable, SignedDocument, Signer
from nexus_chain.content.canonical import require
from nexus_chain.content.field_forms import (
    CidText,
    Count,
    DecimalText,
    Hex32,
    HexBytes,
    NonEmpty,
    Positive,
    SignatureHex,
    UsdText,
    require_forms,
)
from nexus_chain.versions.manifest import FileReference

DISTILLATION_FORMAT = "nexus.distillation.v1"
EXACT_MATCH, LAST_NUMBER = "exact-match", "last-number"
METRICS = (EXACT_MATCH, LAST_NUMBER)
"""When a greedy answer is right: it is the expected one, blanks around it aside; or its last number is. The second
measures what a model knows, the first also whether it says nothing else.
"""

#: Names of the tiers, with the verified examples that each needs.
TIERS = {"unranked": 0, "bronze": 1_000, "silver": 10_000, "gold": 100_000, "platinum": 1_000_000}

#: Fields that no audit can recompute, with what an auditor can know of each all the same. docs/auditor.md lists them.
VOUCHED_FIELDS = {
    "teachers.provider": "who answered is not written into an answer",
    "teachers.model": "who answered is not written into an answer",
    "judge.solvers": "proofs have to come out with the auditor's own versions; the operator's show nowhere",
    "judge.z3_rlimit": "too small a limit fails step 13; a larger one than was used shows nowhere",
    "judge.cvc5_rlimit": "too small a limit fails step 13; a larger one than was used shows nowhere",
    "judge.memory_bytes": "an audit uses limits of its own",
    "judge.seconds": "an audit uses limits of its own",
    "training.libraries": "others than the auditor's make the version not re-trainable here",
    "training.cpu_class": "another than the auditor's makes the version not re-trainable here",
}

#: The same of the files of records. What a claim expects, and what the evaluation set expects, is vouched for as well.
VOUCHED_RECORD_FIELDS = {
    "example.confidence": "it is what the operator's distillation made of its teachers",
    "example.category": "it is the operator's sorting",
    "verdict.reason": "solvers word it, and others word it differently",
    "verdict.counterexample": "judging again may find another one",
}


def tier_of(verified: int) -> str:
    """The highest tier that ``verified`` examples reach."""
    return max((name for name, least in TIERS.items() if verified >= least), key=TIERS.__getitem__)


@dataclass(frozen=True)
class CertifiedParent:
    """The version that learned. ``certificate``: what is anchored for it, None where nothing is."""

    model_version: Hex32
    weights_root: Hex32
    program_root: Hex32
    certificate: CidText | None

    def __post_init__(self) -> None:
        require_forms(self, "parent")


@dataclass(frozen=True)
class CertifiedDataset:
    """What was trained on: ``file`` has one example a line, ``root`` is over its lines.

    ``verified``: prompts of examples whose verdict is *proved*. ``tier``: what so many verified examples reach.
    """

    file: FileReference
    root: Hex32
    examples: Positive
    verified: Count
    tier: str

    def __post_init__(self) -> None:
        require_forms(self, "dataset")
        require(self.tier in TIERS, "dataset.tier", f"must be one of {', '.join(TIERS)}")


@dataclass(frozen=True)
class JudgeSetup:
    """What the judge ran with. ``solvers``: versions by name; limits are those of ``SolverLimits``."""

    solvers: dict[str, str]
    z3_rlimit: Positive
    cvc5_rlimit: Positive
    memory_bytes: Positive
    seconds: DecimalText

    def __post_init__(self) -> None:
        require_forms(self, "judge")


@dataclass(frozen=True)
class CertifiedJudge(JudgeSetup):
    """What the judge said of every answer that was judged, accepted or not.

    ``verdicts`` has one verdict a line, ``verdicts_root`` is over its lines. ``outcomes``: verdicts by kind, then by
    outcome. ``artefacts``: the texts that both solvers decided, one a line; ``artefacts_root`` is over their SHA-256,
    each once, in ascending order.
    """

    verdicts: FileReference
    verdicts_root: Hex32
    outcomes: dict[str, dict[str, Positive]]
    vacuous: Count
    artefacts: FileReference
    artefacts_root: Hex32
    artefact_count: Count


@dataclass(frozen=True)
class TeacherBill:
    """A source of answers and what it cost. ``name``: as examples and verdicts name it.

    ``cost_usd``: of every answer, and of every failed call the most that it may have cost. ``lost``: calls that ended
    with the operator's process: whether they were billed nobody knows, so they are in no amount.
    """

    name: NonEmpty
    provider: NonEmpty
    model: NonEmpty
    cost_usd: UsdText
    lost: Count

    def __post_init__(self) -> None:
        require_forms(self, "teacher")


@dataclass(frozen=True)
class CertifiedTeacher(TeacherBill):
    """What one source did and cost.

    ``answers``: judged ones; ``accepted``: in the dataset; ``refuted``: by the judge.
    """

    answers: Count
    accepted: Count
    refuted: Count


@dataclass(frozen=True)
class CertifiedAdaptation:
    """How the adapter was trained: every setting by name, as text, so that training can be repeated.

    ``seeds`` by what they seed, ``libraries``: versions by name. ``cpu_class``: processors that come to the same
    adapter bit by bit. ``adapter``: the file of LoRA matrices; its SHA-256 is what training again has to give.
    """

    configuration: dict[str, str]
    seeds: dict[str, Count]
    libraries: dict[str, str]
    cpu_class: NonEmpty
    adapter: FileReference
    adapter_config: FileReference

    def __post_init__(self) -> None:
        require_forms(self, "training")


@dataclass(frozen=True)
class CertifiedScore:
    """How the integer program of one version did. Lists are in the order of the evaluation set.

    ``hit_bits``: problem i is bit i % 8 (the lowest first) of byte i // 8. ``losses``: of the expected answer's
    tokens, in thousandths of a nat, by problem; ``answer_tokens``: how many these tokens are, over all problems.
    ``accuracy`` is hits of total, with its 95 % interval (Wilson); ``loss`` is in nats per token; ``perplexity`` is
    exp(loss), at most exp(100). A problem can so be re-checked alone.
    """

    hits: Count
    hit_bits: HexBytes
    accuracy: DecimalText
    accuracy_low: DecimalText
    accuracy_high: DecimalText
    losses: tuple[Count, ...]
    answer_tokens: Positive
    loss: DecimalText
    perplexity: DecimalText

    def __post_init__(self) -> None:
        require_forms(self, "score")


@dataclass(frozen=True)
class CertifiedEvaluation:
    """The evaluation set, one problem a line, and what parent (``before``) and child (``after``) made of it.

    ``max_tokens``: of an answer.
    """

    problems: FileReference
    root: Hex32
    total: Positive
    max_tokens: Positive
    before: CertifiedScore
    after: CertifiedScore
    metric: str = EXACT_MATCH

    def __post_init__(self) -> None:
        require_forms(self, "evaluation")
        require(self.metric in METRICS, "evaluation.metric", f"must be one of {', '.join(METRICS)}")


@dataclass(frozen=True)
class DistillationCertificate(Signable):
    """Everything that an operator vouches for; ``model.publisher`` is the operator.

    ``cost_usd`` and ``lost``: of all teachers.
    """

    model: CertifiedModel
    parent: CertifiedParent
    dataset: CertifiedDataset
    judge: CertifiedJudge
    teachers: tuple[CertifiedTeacher, ...]
    cost_usd: UsdText
    lost: Count
    training: CertifiedAdaptation
    evaluation: CertifiedEvaluation
    format: str = DISTILLATION_FORMAT

    def __post_init__(self) -> None:
        require_forms(self, "certificate")
        require(self.format == DISTILLATION_FORMAT, "certificate.format", f"must be {DISTILLATION_FORMAT}")
        names = [teacher.name for teacher in self.teachers]
        require(names == sorted(set(names)), "certificate.teachers", "must be sorted by name, each once")

    def sign(self, signer: Signer) -> SignedDistillation:
        """The certificate with its operator's signature."""
        return SignedDistillation(self, self.signature_by(signer))


@dataclass(frozen=True)
class SignedDistillation(SignedDocument):
    """A distillation certificate and its operator's signature."""

    certificate: DistillationCertificate
    signature: SignatureHex
