"""What an audit is asked to do, and what its steps have established so far."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nexus_chain.certificates.audit_sampling import AuditSample
from nexus_chain.certificates.certificate import Certificate, CertifiedModel, SignedCertificate
from nexus_chain.certificates.chain_reader import ChainReader
from nexus_chain.certificates.distillation_certificate import (
    CertifiedAdaptation,
    DistillationCertificate,
    SignedDistillation,
)
from nexus_chain.certificates.errors import CertificateError
from nexus_chain.content.block_store import BlockSource
from nexus_chain.content.listing import DataListing
from nexus_chain.content.record_lines import RecordLines

if TYPE_CHECKING:
    from nexus_chain.certificates.audit_policy import Policy
    from nexus_chain.certificates.distillation_records import ExampleRecord, ProblemRecord, VerdictRecord
    from nexus_chain.distillation.judge.solvers import SolverLimits
    from nexus_chain.distillation.judge.verdict import Verdict
    from nexus_chain.program import IntegerModel

_T = TypeVar("_T")
DEFAULT_SAMPLE = 20
"""Examples, verdicts and problems that an audit looks at one by one."""


class AuditStepError(CertificateError):
    """Raised when a step's check does not hold."""


@dataclass(frozen=True)
class AuditStep:
    """One step's outcome; ``detail`` is what was found, or why it failed.

    ``checked`` False: the step found nothing wrong because it could not look, or was not asked to; ``detail`` says
    which. ``total``: how many steps the audit has.
    """

    number: int
    title: str
    passed: bool
    detail: str
    checked: bool = True
    total: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = asdict(self)
        del plain["total"]
        return plain


@dataclass(frozen=True)
class Unchecked:
    """What a step returns that did not look, and why."""

    detail: str


class Retrainer(Protocol):
    """Trains an adapter again, as a certificate says that it was trained."""

    @property
    def cpu_class(self) -> str:
        """The class of this machine's processor, as certificates name it."""

    def retrain(self, training: CertifiedAdaptation, dataset: Path, parent: Path) -> str:
        """SHA-256 (0x hex) of the adapter that comes out.

        ``dataset``: the certified file of examples. ``parent``: the parent's checkpoint. Raises NexusError.
        """


ClaimJudging = Callable[[str, "SolverLimits"], "Verdict"]
"""What the judge says of a claim, which is given as the JSON text that a verdict keeps, within the certified limits."""


@dataclass(frozen=True)
class AuditRequest:
    """What an auditor asks for beyond what every audit does.

    ``sample``: how many examples, verdicts and problems are looked at one by one; None: all. ``seed``: the auditor's
    own randomness, which no operator could know beforehand; it is reported, so that an audit can be repeated.
    ``judging``: derives verdicts from claims again. ``retrainer``: trains again where there is one; ``retrain``: it was
    asked for, whether there is one or not. ``policy``: what the auditor demands of a sound certificate.
    """

    sample: int | None = DEFAULT_SAMPLE
    seed: str = field(default_factory=lambda: secrets.token_hex(16))
    judging: ClaimJudging | None = None
    retrainer: Retrainer | None = None
    retrain: bool = False
    policy: Policy | None = None


@dataclass
class AuditEvidence:
    """What the steps have established so far. No step reads what a later one sets."""

    cid: str
    source: BlockSource
    chain: ChainReader
    folder: Path  # empty at first; receives files
    request: AuditRequest
    steps: list[AuditStep] = field(default_factory=list)
    document: bytes = field(init=False)
    signed: SignedCertificate | SignedDistillation = field(init=False)
    anchored_at: int = field(init=False)
    integer_model: IntegerModel = field(init=False)
    listing: DataListing = field(init=False)
    # of a distillation certificate
    parent_manifest: str = field(init=False)
    dataset: RecordLines[ExampleRecord] = field(init=False)
    verdicts: RecordLines[VerdictRecord] = field(init=False)
    verdict_of: Mapping[tuple[str, str], VerdictRecord] = field(init=False)
    problems: RecordLines[ProblemRecord] = field(init=False)

    @property
    def model(self) -> CertifiedModel:
        """What the certificate says of the model, whichever kind it is."""
        return self.signed.certificate.model

    @property
    def certificate(self) -> Certificate:
        """The certificate of a model that was trained on a corpus."""
        return _of_kind(Certificate, self.signed.certificate)

    @property
    def distillation(self) -> DistillationCertificate:
        """The certificate of a model that learned from others."""
        return _of_kind(DistillationCertificate, self.signed.certificate)

    @property
    def version_id(self) -> bytes:
        """The version's id in the registry."""
        return bytes.fromhex(self.model.model_version[2:])

    @property
    def checkpoint(self) -> Path:
        """Where the version's own files are."""
        return self.folder / "checkpoint"

    @property
    def parent_checkpoint(self) -> Path:
        """Where the parent's files are."""
        return self.folder / "parent"

    def sampled(self, what: str, total: int, each: int = 1) -> Sequence[int]:
        """Which of ``total`` things this audit looks at, in ascending order: at most ``each`` times its sample."""
        seed = sha256(self.document).digest() + self.request.seed.encode()
        size = None if self.request.sample is None else each * self.request.sample
        return AuditSample(seed, size).choose(what, total)


def finding(problem: str) -> AuditStepError:
    """What a step raises whose check does not hold."""
    return AuditStepError(problem, advice="Do not rely on this certificate")


def require_found(condition: bool, problem: str) -> None:
    """Raise AuditStepError unless ``condition`` holds."""
    if not condition:
        raise finding(problem)


def require_equal(found: object, certified: object, what: str) -> None:
    """Raise AuditStepError unless what was found is what is certified."""
    require_found(found == certified, f"{what} is {found}, the certificate says {certified}")


def _of_kind(kind: type[_T], value: object) -> _T:
    if not isinstance(value, kind):
        raise finding(f"the certificate is no {kind.__name__}")
    return value
