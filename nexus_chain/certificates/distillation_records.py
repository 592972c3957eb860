"""The lines of a distillation's files: examples, verdicts, artefacts, and the problems of its evaluation set.

A distillation writes them with ``RecordLines``; auditors read them back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.content.canonical import canonical_bytes, require
from nexus_chain.content.field_forms import Hex32, NonEmpty, require_forms
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict
from nexus_chain.distillation.lora.overlap import normal_hash
from nexus_chain.json_text import parse_json

_KINDS = tuple(kind.value for kind in Kind)
_OUTCOMES = tuple(outcome.value for outcome in Outcome)
MOST_ARTEFACTS = 1_000
"""Obligations and enumerations of one verdict: an auditor has to prove every one of them."""


@dataclass(frozen=True)
class ExampleRecord:
    """One example to train on. ``source``: the teacher that answered. ``confidence``: 0 to 1."""

    prompt: str
    response: str
    source: NonEmpty
    category: str
    confidence: float

    def __post_init__(self) -> None:
        require_forms(self, "example")
        require(0 <= self.confidence <= 1, "example.confidence", "must lie between 0 and 1")

    @property
    def answer(self) -> str:
        """What its verdict names it by."""
        return answer_hash(self.prompt, self.response)

    @property
    def wording(self) -> tuple[str, str]:
        """What it asks and answers, the same however blanks, case and forms of letters are chosen."""
        return normal_hash(self.prompt), normal_hash(self.response)


@dataclass(frozen=True)
class VerdictRecord:
    """What the judge said of one teacher's answer.

    ``answer``: ``answer_hash`` of prompt and response. ``artefacts``: SHA-256 of the texts that prove it, empty unless
    it is proved. ``enumerations``: SHA-256 of the tables of finite domains that were run through, likewise. ``claim``:
    the JSON text that the judge was given, of the verdict's own kind; plain text alone may have none. So whoever can
    judge, can judge again, and an answer that was refuted cannot be recorded as one that nobody could judge.
    """

    answer: Hex32
    source: NonEmpty
    kind: str
    outcome: str
    checked: str
    reason: str
    counterexample: dict[str, str]
    artefacts: tuple[Hex32, ...]
    vacuous: bool
    claim: str | None
    enumerations: tuple[Hex32, ...] = ()

    def __post_init__(self) -> None:
        require_forms(self, "verdict")
        require(self.kind in _KINDS, "verdict.kind", f"must be one of {', '.join(_KINDS)}")
        require(self.outcome in _OUTCOMES, "verdict.outcome", f"must be one of {', '.join(_OUTCOMES)}")
        named = len(self.artefacts) + len(self.enumerations)
        require(named <= MOST_ARTEFACTS, "verdict.artefacts", f"must be at most {MOST_ARTEFACTS}")
        require(self.proved == bool(named), "verdict.artefacts", "must be there for a proved verdict alone")
        text = self.kind == Kind.TEXT
        require(not text or self.outcome == Outcome.UNKNOWN, "verdict.outcome", "of a text is always unknown")
        require(text or self.claim is not None, "verdict.claim", f"must be there for the kind {self.kind}")
        if self.claim is not None:
            require(_kind_of(self.claim) == self.kind, "verdict.claim", f"must be a claim of the kind {self.kind}")

    @classmethod
    def of(cls, verdict: Verdict, prompt: str, response: str, source: str, claim: str | None = None) -> VerdictRecord:
        """The record of ``verdict`` about what ``source`` answered."""
        return cls(
            answer=answer_hash(prompt, response),
            source=source,
            kind=verdict.kind.value,
            outcome=verdict.outcome.value,
            checked=verdict.checked,
            reason=verdict.reason,
            counterexample=dict(verdict.counterexample),
            artefacts=tuple("0x" + artefact.sha256 for artefact in verdict.artefacts),
            vacuous=verdict.vacuous,
            claim=claim,
            enumerations=tuple("0x" + table.sha256 for table in verdict.enumerations),
        )

    @property
    def proved(self) -> bool:
        """Whether both solvers proved it, or every point of a finite domain was run."""
        return self.outcome == Outcome.PROVED


@dataclass(frozen=True)
class ArtefactRecord:
    """The text of one obligation (SMT-LIB 2.6)."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the text, 0x hex: what verdicts name it by."""
        return "0x" + sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class ProblemRecord:
    """One problem of the evaluation set and the answer that is expected."""

    prompt: NonEmpty
    answer: NonEmpty

    def __post_init__(self) -> None:
        require_forms(self, "problem")
        require(self.answer.strip() != "", "problem.answer", "must not be blank")


def _kind_of(claim: str) -> object:
    """What kind a claim says that it is; None for a text that is no claim."""
    try:
        document = parse_json(claim)
    except ValueError:
        return None
    return document.get("kind") if isinstance(document, dict) else None


def answer_hash(prompt: str, response: str) -> str:
    """SHA-256 (0x hex) of the canonical JSON of ``[prompt, response]``."""
    return "0x" + sha256(canonical_bytes([prompt, response])).hexdigest()


def artefact_records(artefacts: Iterable[Artefact]) -> list[ArtefactRecord]:
    """Each text once, in ascending order of its hash: the order of the artefacts' file and root."""
    by_hash = {record.sha256: record for record in (ArtefactRecord(one.name, one.text) for one in artefacts)}
    return [by_hash[digest] for digest in sorted(by_hash)]


def artefacts_root(digests: Iterable[str]) -> str:
    """Root over SHA-256 (0x hex) of artefacts, each once, in ascending order."""
    return "0x" + MerkleTree(leaf_hash(bytes.fromhex(digest[2:])) for digest in sorted(set(digests))).root().hex()
