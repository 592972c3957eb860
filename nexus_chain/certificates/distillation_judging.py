"""AuditSteps of a distillation's audit about what was learned: the examples, the verdicts behind them, the teachers.

Figures are recomputed from the certified files in full. What takes solvers is done for a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from importlib.util import find_spec
from typing import TypeVar

from nexus_chain.certificates.audit_evidence import (
    AuditEvidence,
    ClaimJudging,
    Unchecked,
    finding,
    require_equal,
    require_found,
)
from nexus_chain.certificates.distillation_certificate import CertifiedJudge, tier_of
from nexus_chain.certificates.distillation_counting import (
    by_answer,
    named_artefacts,
    outcome_counts,
    repeated_example,
    total_cost,
    verified_count,
)
from nexus_chain.certificates.distillation_records import (
    ArtefactRecord,
    ExampleRecord,
    VerdictRecord,
    artefacts_root,
)
from nexus_chain.content.record_lines import RecordLines
from nexus_chain.distillation.errors import MissingPackageError
from nexus_chain.distillation.judge.errors import JudgeError, SolverError
from nexus_chain.distillation.judge.sandbox.errors import SandboxUnavailableError
from nexus_chain.distillation.judge.solvers import SolverAnswer, SolverLimits, Solvers
from nexus_chain.distillation.judge.verdict import Kind, Outcome, Verdict
from nexus_chain.json_text import parse_json
from nexus_chain.versions.manifest import FileReference

_R = TypeVar("_R")
LARGEST_RECORDS = 4 << 30
"""Bytes of a file of records: a million examples and their verdicts fit."""
MEAN_RECORD_BYTES = 256 << 10
"""Bytes of a record, on average over its file."""
ARTEFACTS_PER_PROOF = 8
"""Artefacts of a sampled proof that are proved again, on average over the sample."""
LARGEST_EFFORT = SolverLimits(z3_rlimit=200_000_000, cvc5_rlimit=20_000_000)
"""The most steps that an audit lets a solver take: a certificate must not make auditors compute for days."""
#: Fields that hold the answer, by the kind of claim.
_ANSWERS: dict[object, tuple[str, ...]] = {
    Kind.AETHEL: ("response", "source"),
    Kind.MATHEMATICS: ("response",),
    Kind.PYTHON: ("code",),
}


def fetch_records(
    evidence: AuditEvidence, file: FileReference, kind: type[_R], name: str, certified: int
) -> RecordLines[_R]:
    """A file of records that is certified to have ``certified`` of them. Raises BlockError and CanonicalFormatError.

    A file that is too large for them, or has more lines, is refused before anything in it is read.
    """
    most = min(LARGEST_RECORDS, certified * MEAN_RECORD_BYTES)
    require_found(file.size <= most, f"{name} is larger than the {most} bytes of an audit for {certified} records")
    path = evidence.folder / name
    file.fetch(evidence.source, path)
    data = path.read_bytes()
    lines = data.count(b"\n")
    require_found(lines <= certified, f"{name} has {lines} records, {certified} are certified")
    return RecordLines.read(kind, data, name)


def check_dataset(evidence: AuditEvidence) -> str:
    """Step 10: the dataset has the certified root and count, and no example twice."""
    certified = evidence.distillation.dataset
    found = fetch_records(evidence, certified.file, ExampleRecord, "dataset.jsonl", certified.examples)
    require_equal(found.root, certified.root, "the dataset's root")
    require_equal(len(found), certified.examples, "the number of examples")
    twice = repeated_example(found.records)
    require_found(twice is None, f"an example is there twice, blanks and case aside: {twice and twice.answer}")
    evidence.dataset = found
    return f"{len(found)} examples, root {certified.root}"


def check_statistics(evidence: AuditEvidence) -> str:
    """Step 11: the verdicts have the certified root and counts, and name the certified artefacts."""
    judge = evidence.distillation.judge
    count = sum(sum(outcomes.values()) for outcomes in judge.outcomes.values())
    found = fetch_records(evidence, judge.verdicts, VerdictRecord, "verdicts.jsonl", count)
    digests = named_artefacts(found.records)
    for what, value, certified in (
        ("the verdicts' root", found.root, judge.verdicts_root),
        ("the count of verdicts by kind and outcome", outcome_counts(found.records), judge.outcomes),
        ("the number of vacuous verdicts", sum(verdict.vacuous for verdict in found.records), judge.vacuous),
        ("the artefacts' root", artefacts_root(digests), judge.artefacts_root),
        ("the number of artefacts", len(digests), judge.artefact_count),
    ):
        require_equal(value, certified, what)
    evidence.verdicts = found
    evidence.verdict_of = by_answer(found.records)
    require_found(len(evidence.verdict_of) == len(found), "an answer of a teacher was judged twice")
    return f"{len(found)} verdicts, {len(digests)} artefacts"


def check_examples(evidence: AuditEvidence) -> str:
    """Step 12: sampled examples are included in the certified dataset, and no verdict is against them."""
    certified, chosen = evidence.distillation.dataset, evidence.sampled("examples", len(evidence.dataset))
    for index in chosen:
        evidence.dataset.prove(index).verify(certified.root, certified.examples)
        example = evidence.dataset.records[index]
        verdict = evidence.verdict_of.get((example.source, example.answer))
        if verdict is None:
            raise finding(f"no verdict is about example {index} ({example.answer}) of {example.source}")
        same = verdict.claim is None or claimed_answer(verdict.claim) == example.response
        require_found(same, f"the verdict about example {index} judges another text")
        refuted = verdict.outcome == "refuted" or verdict.vacuous
        require_found(not refuted, f"example {index} was {'vacuous' if verdict.vacuous else 'refuted'}")
    return f"{len(chosen)} of {len(evidence.dataset)} examples are included and have their verdicts"


def check_verdicts(evidence: AuditEvidence) -> str | Unchecked:
    """Step 13: both solvers prove sampled artefacts again; sampled claims give the same verdicts again."""
    proved = [verdict for verdict in evidence.verdicts.records if verdict.proved]
    claimed = [one for one in evidence.verdicts.records if one.claim is not None and one.kind != Kind.TEXT]
    chosen = [proved[index] for index in evidence.sampled("proofs", len(proved))]
    texts = _artefact_texts(evidence)
    limits = _certified_limits(evidence.distillation.judge)
    named = sorted(named_artefacts(chosen))
    drawn = [named[index] for index in evidence.sampled("artefacts", len(named), ARTEFACTS_PER_PROOF)]
    decided = _solve_again([texts[digest] for digest in drawn], limits)
    judging, judged = evidence.request.judging, 0
    if judging is not None:
        for index in evidence.sampled("claims", len(claimed)):
            _judge_again(claimed[index], judging, limits)
            judged += 1
    if not decided and not judged:
        return Unchecked("no verdict is proved, and no claim can be judged again here")
    derived = f"{judged} claims judged again" if judging is not None else "no claim was judged again"
    return f"{decided} artefacts of {len(chosen)} proofs decided by both solvers, {derived}"


def check_teachers(evidence: AuditEvidence) -> str:
    """Step 14: every teacher's answers, and the sums of costs and of lost answers, are the certified ones."""
    certificate = evidence.distillation
    answers = Counter(verdict.source for verdict in evidence.verdicts.records)
    refuted = Counter(verdict.source for verdict in evidence.verdicts.records if verdict.outcome == "refuted")
    accepted = Counter(example.source for example in evidence.dataset.records)
    unnamed = sorted((set(answers) | set(accepted)).difference(teacher.name for teacher in certificate.teachers))
    require_found(not unnamed, f"answers came from a teacher that is not certified: {unnamed[:1]}")
    for teacher in certificate.teachers:
        require_equal(answers[teacher.name], teacher.answers, f"the number of answers of {teacher.name}")
        require_equal(accepted[teacher.name], teacher.accepted, f"the number of accepted answers of {teacher.name}")
        require_equal(refuted[teacher.name], teacher.refuted, f"the number of refuted answers of {teacher.name}")
    total = total_cost(certificate.teachers)
    require_found(
        total == Decimal(certificate.cost_usd),
        f"the teachers' costs add up to {total} USD, {certificate.cost_usd} USD are certified",
    )
    lost = sum(teacher.lost for teacher in certificate.teachers)
    require_equal(lost, certificate.lost, "the number of lost answers")
    return f"{len(certificate.teachers)} teachers, {total:f} USD, {lost} lost answers of unknown cost"


def check_tier(evidence: AuditEvidence) -> str:
    """Step 15: the number of verified examples, and the tier that so many reach."""
    certified = evidence.distillation.dataset
    verified = verified_count(evidence.dataset.records, evidence.verdict_of)
    require_equal(verified, certified.verified, "the number of verified examples")
    require_equal(tier_of(verified), certified.tier, "the tier")
    return f"{certified.tier}: {verified} verified examples"


def claimed_answer(claim: str) -> str | None:
    """The answer that a claim's document holds; None for one that names no answer.

    Documents are those of ``nexus_chain.distillation.judge``: each kind has its own name for an answer.
    """
    try:
        document = parse_json(claim)
    except ValueError as error:
        raise finding(f"a claim is no JSON ({error})") from error
    fields = document if isinstance(document, dict) else {}
    answers = [fields[name] for name in _ANSWERS.get(fields.get("kind"), ()) if isinstance(fields.get(name), str)]
    return answers[0] if len(answers) == 1 and answers[0].strip() else None


def _artefact_texts(evidence: AuditEvidence) -> dict[str, str]:
    """Texts by hash: exactly those that the verdicts name, in the file's order."""
    judge = evidence.distillation.judge
    found = fetch_records(evidence, judge.artefacts, ArtefactRecord, "artefacts.jsonl", judge.artefact_count)
    records = found.records
    texts = {record.sha256: record.text for record in records}
    named = sorted(named_artefacts(evidence.verdicts.records))
    require_found([record.sha256 for record in records] == named, "the artefacts are not those that verdicts name")
    return texts


def _certified_limits(judge: CertifiedJudge) -> SolverLimits:
    """The certified numbers of steps, with memory and time as an audit gives them."""
    for name in ("z3_rlimit", "cvc5_rlimit"):
        most = getattr(LARGEST_EFFORT, name)
        require_found(getattr(judge, name) <= most, f"{name} is {getattr(judge, name)}, more than an audit's {most}")
    return SolverLimits(judge.z3_rlimit, judge.cvc5_rlimit)


def _solve_again(texts: Sequence[str], limits: SolverLimits) -> int:
    """How many artefacts both solvers decided, within the certified numbers of steps."""
    for package in ("z3", "cvc5"):
        if find_spec(package) is None:
            raise MissingPackageError.of(package)
    with Solvers(limits) as solvers:
        for text in texts:
            said = solvers.solve(text)
            digest = sha256(text.encode()).hexdigest()
            proved = said.answer is SolverAnswer.UNSAT
            require_found(proved, f"artefact 0x{digest} is not proved: Z3 says {said.z3}, cvc5 says {said.cvc5}")
    return len(texts)


def _judge_again(recorded: VerdictRecord, judging: ClaimJudging, limits: SolverLimits) -> None:
    verdict = _verdict_on(recorded, judging, limits)
    what = f"verdict about {recorded.answer} of {recorded.source}"
    for name, found, stated in (
        ("kind", verdict.kind.value, recorded.kind),
        ("outcome", verdict.outcome.value, recorded.outcome),
        ("vacuous", verdict.vacuous, recorded.vacuous),
        ("checked", verdict.checked, recorded.checked),
        ("artefacts", [f"0x{artefact.sha256}" for artefact in verdict.artefacts], list(recorded.artefacts)),
        ("enumerations", [f"0x{table.sha256}" for table in verdict.enumerations], list(recorded.enumerations)),
    ):
        require_found(found == stated, f"the {what}: its {name} is {found} when judged again, {stated} is recorded")


def _verdict_on(recorded: VerdictRecord, judging: ClaimJudging, limits: SolverLimits) -> Verdict:
    """As a distillation has it: a claim that cannot be judged is unknown; a judge that does not run is no verdict."""
    try:
        return judging(recorded.claim or "", limits)
    except (SolverError, SandboxUnavailableError):
        raise
    except JudgeError as error:
        return Verdict(Kind(recorded.kind), Outcome.UNKNOWN, "Nothing was checked.", error.message)
