"""A distillation's audit: passes what is right, and fails at the step that names whatever was tampered with.

Everything here is signed and anchored by the operator again, so that only a step's own check can object.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nexus_chain.certificates import distillation_judging, distillation_learning, distillation_publication
from nexus_chain.certificates.audit import DISTILLATION_STEPS, AuditReport, audit
from nexus_chain.certificates.audit_evidence import AuditRequest
from nexus_chain.certificates.distillation_certificate import (
    VOUCHED_FIELDS,
    VOUCHED_RECORD_FIELDS,
    CertifiedScore,
)
from nexus_chain.certificates.distillation_counting import by_answer, verified_count
from nexus_chain.certificates.distillation_evaluation import score_from, score_of, unpacked_bits
from nexus_chain.certificates.distillation_publication import (
    ARTEFACTS_FILE,
    DATASET_FILE,
    EVALUATION_FILE,
    SUMMARY_FILE,
    VERDICTS_FILE,
    DistillationSummary,
)
from nexus_chain.certificates.distillation_records import (
    ArtefactRecord,
    ExampleRecord,
    ProblemRecord,
    VerdictRecord,
    artefact_records,
)
from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.wallet import Wallet
from nexus_chain.content.canonical import canonical_bytes, read_canonical
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import CanonicalFormatError
from nexus_chain.content.record_lines import RecordLines
from nexus_chain.distillation.judge.errors import ClaimError
from nexus_chain.distillation.judge.solvers import SolverLimits, Solvers
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict
from nexus_chain.distillation.lora.adapter import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from nexus_chain.versions.manifest import FileReference
from tests.support.tiny_distillation import (
    LIMITS,
    Distilled,
    ToyJudge,
    ToyRetrainer,
    certified_parent,
    certify,
    evaluation_set,
    evaluator,
    obligation,
    sides,
)
from tests.support.tiny_publication import Published, Registries

ROOT = Path(__file__).parents[2]
STRANGER = Wallet(bytes(31) + b"\x08")
EVERYTHING = AuditRequest(sample=None, seed="s")
#: Three of everything: enough for what a sample cannot miss.
LITTLE = AuditRequest(sample=3, seed="s", retrainer=ToyRetrainer())


def assert_fails_at(report: AuditReport, number: int, reason: str = "") -> None:
    failed = report.failed_step
    assert failed is not None, report
    assert (failed.number, reason in failed.detail) == (number, True), failed
    assert not report.passed
    assert [step.number for step in report.steps] == list(range(1, number + 1)), "it stops at the failed step"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only wait for each other over tensors as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def kept_solvers() -> Iterator[dict[SolverLimits, Solvers]]:
    """Processes of solvers that serve all audits: starting one takes longer than all obligations here."""
    kept: dict[SolverLimits, Solvers] = {}
    yield kept
    for solvers in kept.values():
        solvers.close()


@pytest.fixture(autouse=True)
def shared_solvers(kept_solvers: dict[SolverLimits, Solvers], monkeypatch: pytest.MonkeyPatch) -> None:
    def shared(limits: SolverLimits) -> nullcontext[Solvers]:
        return nullcontext(kept_solvers.setdefault(limits, Solvers(limits)))

    monkeypatch.setattr(distillation_judging, "Solvers", shared)


# What is right


def test_a_distilled_version_holds_and_its_parent_too(distilled: Distilled, published: Published) -> None:
    report = distilled.audit(EVERYTHING)
    assert report.passed, report.failed_step
    assert [(step.number, step.title) for step in report.steps] == [
        (number, title) for number, (title, _) in enumerate(DISTILLATION_STEPS, start=1)
    ]
    assert json.loads(json.dumps(report.to_dict()))["seed"] == "s"
    assert [step.title for step in report.steps if not step.checked] == ["re-training"]
    linked = distilled.certificate.parent.certificate
    assert linked == published.cid
    assert audit(linked, distilled.store, distilled.chain).passed, "today's certificate stays what it was"


def test_steps_are_tagged_with_their_numbers_in_the_code() -> None:
    for number, (_, check) in enumerate(DISTILLATION_STEPS, start=1):
        assert (check.__doc__ or "").startswith(f"Step {number}: ")


def test_trained_and_judged_again(distilled: Distilled) -> None:
    with Solvers(LIMITS) as solvers:
        report = distilled.audit(replace(EVERYTHING, judging=ToyJudge(solvers), retrainer=ToyRetrainer()))
    assert report.passed, report.failed_step
    assert all(step.checked for step in report.steps)
    assert "12 claims judged again" in report.steps[12].detail


def test_a_sample_is_drawn_by_the_auditor_and_can_be_repeated(distilled: Distilled) -> None:
    first, again, other = (distilled.audit(AuditRequest(sample=2, seed=seed)) for seed in ("a", "a", "b"))
    assert first.passed
    assert first.steps == again.steps
    assert first.to_dict() != other.to_dict(), "the seed is part of the report"
    assert AuditRequest().seed != AuditRequest().seed


# Any single field


def changed_value(value: Any) -> Any:
    """Another value of the same form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if re.fullmatch("baf(k|y)[a-z2-7]{55}", value):
        return str(Cid.of(b"elsewhere"))
    if re.fullmatch("0x[0-9a-f]+", value):
        return value[:-1] + ("1" if value[-1] == "0" else "0")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return f"{Decimal(value) + Decimal('0.0001'):f}"
    if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", value):
        return "9.9.9"
    return {"unranked": "bronze"}.get(value, value + "x")


def changes(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, changed document) for every field of a document, of the first item of its lists, and of every key."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            for inner, changed in changes(getattr(value, field.name), f"{path}.{field.name}"):
                yield inner, (value, {field.name: changed})
    elif isinstance(value, dict):
        for key in value:
            for inner, changed in changes(value[key], f"{path}.{key}"):
                yield inner, (value, {key: changed})
    elif isinstance(value, tuple):
        for inner, changed in changes(value[0], path):
            yield inner, (value, changed)
    else:
        yield path.removeprefix("."), changed_value(value)


def built(change: Any) -> Any:
    """The document that ``changes`` describes: not built before, as some cannot be."""
    if not isinstance(change, tuple):
        return change
    before, after = change
    if isinstance(before, tuple):
        return (built(after), *before[1:])
    inner = {name: built(value) for name, value in after.items()}
    return {**before, **inner} if isinstance(before, dict) else replace(before, **inner)


#: The step that names a field; the longest beginning of its path counts.
STEP_OF = {
    "model.name": 7,
    "model.version": 5,
    "model.model_version": 4,
    "model.parent": 5,
    "model.publisher": 3,
    "model.layers": 5,
    "model.weights_root": 5,
    "model.program_root": 5,
    "model.tokenizer_sha256": 5,
    "model.manifest": 5,
    "model.activation_bits": 8,
    "parent": 6,
    "dataset": 10,
    "dataset.verified": 15,
    "dataset.tier": 15,
    "judge": 11,
    "judge.artefacts": 13,
    "judge.artefacts_root": 11,
    "teachers": 14,
    "cost_usd": 14,
    "training.configuration": 20,
    "training.seeds": 20,
    "training.adapter": 19,
    "training.adapter_config": 19,
    "evaluation": 16,
    "evaluation.max_tokens": 17,
}  # fmt: skip
REFUSED = ("format", "evaluation.metric")
"""Fields of one value: a document with another is no document."""


def paths() -> list[str]:
    """Every path, from the types alone: a field that is added appears here, and needs a step."""
    from typing import get_args, get_type_hints

    from nexus_chain.certificates.distillation_certificate import DistillationCertificate

    def walk(kind: Any, path: str) -> Iterator[str]:
        inner = [one for one in (kind, *get_args(kind)) if dataclasses.is_dataclass(one)]
        if not inner:
            yield path
        for one in inner:
            for name, hint in get_type_hints(one).items():
                yield from walk(hint, f"{path}.{name}".removeprefix("."))

    return list(walk(DistillationCertificate, ""))


def expected_step(path: str) -> int | None:
    """None for a field that the operator vouches for."""
    if any(path == field or path.startswith(field + ".") for field in VOUCHED_FIELDS):
        return None
    known = [prefix for prefix in STEP_OF if path == prefix or path.startswith(prefix + ".")]
    assert known, f"no step names {path}: write one, or state in VOUCHED_FIELDS that there is none"
    return STEP_OF[max(known, key=len)]


@pytest.mark.parametrize("path", paths())
def test_changed_field_fails_at_the_step_that_names_it(distilled: Distilled, path: str) -> None:
    found = [change for where, change in changes(distilled.certificate) if (where + ".").startswith(path + ".")]
    assert found, "the fixture has a value for every field"
    if path in REFUSED:
        with pytest.raises(CanonicalFormatError, match=f"{path} must be"):
            built(found[0])
        return
    report, step = distilled.certified(built(found[0])).audit(LITTLE), expected_step(path)
    if step is None:
        assert report.passed, report.failed_step
    else:
        assert_fails_at(report, step)


def test_vouched_fields_are_told_to_auditors() -> None:
    document = (ROOT / "docs" / "auditor.md").read_text()
    known = paths()
    for field in VOUCHED_FIELDS:
        assert field in known
        assert f"`{field}`" in document, field
    for field in VOUCHED_RECORD_FIELDS:
        assert f"`{field}`" in document, field


def test_too_small_limits_and_too_large_ones(distilled: Distilled) -> None:
    judge = distilled.certificate.judge
    starved = replace(distilled.certificate, judge=replace(judge, z3_rlimit=1, cvc5_rlimit=1))
    assert_fails_at(distilled.certified(starved).audit(EVERYTHING), 13, "is not proved")
    endless = replace(distilled.certificate, judge=replace(judge, z3_rlimit=2**50))
    assert_fails_at(distilled.certified(endless).audit(EVERYTHING), 13, "more than an audit's")


LARGEST = 2**53 - 1


@pytest.mark.parametrize(
    ("section", "changes", "step"),
    [
        ("dataset", {"examples": LARGEST, "verified": LARGEST, "tier": "platinum"}, 10),
        ("judge", {"artefact_count": LARGEST, "vacuous": LARGEST}, 11),
        ("evaluation", {"total": LARGEST}, 16),
        ("evaluation", {"max_tokens": LARGEST}, 17),
    ],
)
def test_extreme_figures_fail_and_do_not_crash(
    distilled: Distilled, section: str, changes: dict[str, Any], step: int
) -> None:
    certificate = distilled.certificate
    changed = replace(certificate, **{section: replace(getattr(certificate, section), **changes)})
    assert_fails_at(distilled.certified(changed).audit(LITTLE), step)


def test_extreme_losses_fail_and_do_not_crash(distilled: Distilled) -> None:
    evaluation = distilled.certificate.evaluation
    for score in (
        replace(evaluation.after, losses=(LARGEST,) * evaluation.total),
        replace(evaluation.after, hit_bits="0x" + "ff" * 10_000),
        replace(evaluation.after, answer_tokens=LARGEST),
        replace(evaluation.after, losses=()),
    ):
        changed = replace(distilled.certificate, evaluation=replace(evaluation, after=score))
        assert_fails_at(distilled.certified(changed).audit(LITTLE), 16)


def test_files_that_claim_to_be_large(distilled: Distilled) -> None:
    dataset = distilled.certificate.dataset
    changed = replace(dataset, file=replace(dataset.file, size=LARGEST))
    report = distilled.certified(replace(distilled.certificate, dataset=changed)).audit(LITTLE)
    assert_fails_at(report, 10, "larger than")


def test_file_that_is_too_large_for_its_records(distilled: Distilled) -> None:
    """Before anything of it is fetched or parsed."""
    dataset = distilled.certificate.dataset
    changed = replace(dataset, file=replace(dataset.file, size=dataset.examples * 256 * 1024 + 1))
    report = distilled.certified(replace(distilled.certificate, dataset=changed)).audit(LITTLE)
    assert_fails_at(report, 10, f"larger than the {dataset.examples * 256 * 1024} bytes")
    many = FileReference.store(b"\n" * (dataset.examples + 1), distilled.store)
    report = distilled.certified(replace(distilled.certificate, dataset=replace(dataset, file=many))).audit(LITTLE)
    assert_fails_at(report, 10, f"has {dataset.examples + 1} records")


@pytest.mark.parametrize(
    "raised",
    [MemoryError(), OverflowError("too large"), TypeError("no"), InvalidOperation(), RecursionError("deep")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_library_raises_is_a_failed_step(
    distilled: Distilled, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def failing(*_: object) -> int:
        raise raised

    monkeypatch.setattr(distillation_learning, "require_merged", failing)
    assert_fails_at(distilled.audit(LITTLE), 19, f"it cannot be checked: {type(raised).__name__}")


def test_text_that_is_no_unicode_fails_and_does_not_crash(distilled: Distilled) -> None:
    plain = distilled.signed.to_bytes().replace(b'"local"', b'"\\ud800"', 1)
    cid = distilled.store.add_bytes(plain)
    assert_fails_at(audit(str(cid), distilled.store, distilled.chain), 1)


def test_sample_bounds_the_artefacts_too(forge: Forge) -> None:
    """One verdict may name a thousand artefacts: a sample of one does not mean to prove them all."""
    verdicts = forge.records(VERDICTS_FILE, VerdictRecord)
    at = next(index for index, verdict in enumerate(verdicts) if verdict.proved)
    more = [Artefact("equal", obligation(f"(+ x {number})", f"(+ {number} x)")) for number in range(2, 30)]
    only = replace(verdicts[at], artefacts=tuple(f"0x{artefact.sha256}" for artefact in more))
    forge.write(VERDICTS_FILE, [only if one == verdicts[at] else one for one in verdicts])
    kept = {digest for one in forge.records(VERDICTS_FILE, VerdictRecord) for digest in one.artefacts}
    texts = [Artefact(one.name, one.text) for one in forge.records(ARTEFACTS_FILE, ArtefactRecord)]
    named = [one for one in (*texts, *more) if "0x" + one.sha256 in kept]
    forge.write(ARTEFACTS_FILE, artefact_records(named))
    forged = forge.certified()
    counts = set()
    for seed in "abcdefghijkl":
        report = forged.audit(AuditRequest(sample=1, seed=seed))
        assert report.passed, report.failed_step
        counts.add(int(report.steps[12].detail.split()[0]))
    assert max(counts) == distillation_judging.ARTEFACTS_PER_PROOF


def test_costs_add_up_to_the_last_digit(distilled: Distilled) -> None:
    """28 digits, as Decimal has by default, would round the small one away."""
    teachers = distilled.certificate.teachers
    priced = [replace(teachers[0], cost_usd="999999999999.000000000001"), replace(teachers[1], cost_usd="0.5")]
    for certified, fails in (("999999999999.500000000001", False), ("999999999999.5", True)):
        changed = replace(distilled.certificate, teachers=tuple(priced), cost_usd=certified)
        report = distilled.certified(changed).audit(LITTLE)
        assert report.passed != fails, report.failed_step
    for refused in ("1000000000000", "0.0000000000001", "1" * 40):
        with pytest.raises(CanonicalFormatError, match="12 digits"):
            replace(teachers[0], cost_usd=refused)


# Whole documents, certified in due form from changed files


class Forge:
    """Certifies a distillation's folder after some of its files were changed."""

    def __init__(self, distilled: Distilled, parent: Published, folder: Path) -> None:
        self._distilled, self._parent, self.folder = distilled, parent, folder / "kept"
        shutil.copytree(distilled.folder, self.folder)

    def records(self, name: str, kind: type[Any]) -> list[Any]:
        return list(RecordLines.read(kind, (self.folder / name).read_bytes(), name).records)

    def write(self, name: str, records: list[Any]) -> None:
        (self.folder / name).write_bytes(RecordLines.of(records).to_bytes())

    def summarise(self, change: Callable[[DistillationSummary], DistillationSummary]) -> None:
        path = self.folder / SUMMARY_FILE
        path.write_bytes(canonical_bytes(change(read_canonical(DistillationSummary, path.read_bytes(), "summary"))))

    def certified(self, child: Path | None = None) -> Distilled:
        return certify(self._parent, self.folder, child or self._distilled.child, self._distilled.store)


@pytest.fixture
def forge(distilled: Distilled, published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forge:
    """Whoever forges has software that looks at nothing before it publishes."""
    monkeypatch.setattr(distillation_publication, "_require_verdicts", lambda *_: None)
    return Forge(distilled, published, tmp_path)


def test_an_unchanged_folder_is_certified_again(forge: Forge, distilled: Distilled) -> None:
    assert forge.certified().cid == distilled.cid


def test_example_with_another_response(forge: Forge) -> None:
    examples = forge.records(DATASET_FILE, ExampleRecord)
    forge.write(DATASET_FILE, [replace(examples[0], response="(+ x 666)"), *examples[1:]])
    assert_fails_at(forge.certified().audit(EVERYTHING), 12, "no verdict is about example 0")


def test_example_that_was_refuted(forge: Forge) -> None:
    refuted = next(one for one in forge.records(VERDICTS_FILE, VerdictRecord) if one.outcome == "refuted")
    left, right = sides(refuted.claim)
    poisoned = ExampleRecord(f"What is {left}?", right, "liar", "math", 1.0)
    forge.write(DATASET_FILE, [*forge.records(DATASET_FILE, ExampleRecord), poisoned])
    assert_fails_at(forge.certified().audit(EVERYTHING), 12, "was refuted")


def test_example_whose_verdict_judges_another_text(forge: Forge) -> None:
    """The proof of a right answer is passed off as that of another one."""
    examples, verdicts = forge.records(DATASET_FILE, ExampleRecord), forge.records(VERDICTS_FILE, VerdictRecord)
    poisoned = replace(examples[1], response="(* 666 x)")
    borrowed = next(one for one in verdicts if one.answer == examples[1].answer and one.source == "oracle")
    moved = replace(borrowed, answer=poisoned.answer)
    forge.write(DATASET_FILE, [poisoned if one == examples[1] else one for one in examples])
    forge.write(VERDICTS_FILE, [moved if one == borrowed else one for one in verdicts])
    assert_fails_at(forge.certified().audit(EVERYTHING), 12, "judges another text")


@pytest.mark.parametrize("response", ["The answer is (+ x 1), as is 17", "(+ x", "(+ x 1) "])
def test_example_whose_verdict_judges_a_part_of_it(forge: Forge, response: str) -> None:
    """What is around a right answer, or left out of it, was never judged."""
    examples, verdicts = forge.records(DATASET_FILE, ExampleRecord), forge.records(VERDICTS_FILE, VerdictRecord)
    at = next(index for index, example in enumerate(examples) if example.response == "(+ x 1)")
    poisoned = replace(examples[at], response=response)
    borrowed = next(one for one in verdicts if one.answer == examples[at].answer and one.source == "oracle")
    forge.write(DATASET_FILE, [*examples[:at], poisoned, *examples[at + 1 :]])
    moved = replace(borrowed, answer=poisoned.answer)
    forge.write(VERDICTS_FILE, [moved if one == borrowed else one for one in verdicts])
    assert_fails_at(forge.certified().audit(EVERYTHING), 12, "judges another text")


def test_example_whose_claim_names_no_answer(forge: Forge) -> None:
    examples, verdicts = forge.records(DATASET_FILE, ExampleRecord), forge.records(VERDICTS_FILE, VerdictRecord)
    claim = json.dumps({"kind": "mathematics", "source": examples[0].response, "expected": "x"})
    changed = [replace(one, claim=claim) if one.answer == examples[0].answer else one for one in verdicts]
    forge.write(VERDICTS_FILE, changed)
    assert_fails_at(forge.certified().audit(EVERYTHING), 12, "judges another text")


@pytest.mark.parametrize("spelled", [str, str.upper, "  {}\n".format], ids=["same", "upper", "blanks"])
def test_example_that_is_there_twice(forge: Forge, spelled: Callable[[str], str]) -> None:
    examples = forge.records(DATASET_FILE, ExampleRecord)
    forge.write(DATASET_FILE, [*examples, replace(examples[0], prompt=spelled(examples[0].prompt))])
    assert_fails_at(forge.certified().audit(EVERYTHING), 10, "twice")


def test_variants_of_a_prompt_are_verified_once() -> None:
    """Else blanks and case would lift a tier."""
    claim = json.dumps({"kind": "mathematics", "response": "1", "expected": "1"})
    artefacts = (Artefact("equal", "(check-sat)"),)
    proved = Verdict(Kind.MATHEMATICS, Outcome.PROVED, "Something.", "Both.", {}, artefacts)
    examples = [
        ExampleRecord(prompt, response, "oracle", "math", 1.0)
        for prompt, response in (("What is 1?", "1"), ("what  IS 1?", "1 "), ("What is 1?", "2 - 1"), ("And 2?", "1"))
    ]
    verdicts = [VerdictRecord.of(proved, one.prompt, one.response, "oracle", claim) for one in examples]
    assert verified_count(examples, by_answer(verdicts)) == 2


def test_example_changed_in_the_stored_file_alone(distilled: Distilled) -> None:
    data = (distilled.folder / DATASET_FILE).read_bytes().replace(b"(+ x 1)", b"(+ x 9)", 1)
    file = FileReference.store(data, distilled.store)
    dataset = replace(distilled.certificate.dataset, file=file)
    assert_fails_at(distilled.certified(replace(distilled.certificate, dataset=dataset)).audit(), 10, "root")


def test_verdict_that_was_never_proved(forge: Forge) -> None:
    """A refuted verdict is written down as proved, with an obligation that is false."""
    verdicts = forge.records(VERDICTS_FILE, VerdictRecord)
    at = next(index for index, verdict in enumerate(verdicts) if verdict.outcome == "refuted")
    false = Artefact("equal", obligation(*sides(verdicts[at].claim)))
    verdicts[at] = replace(verdicts[at], outcome="proved", counterexample={}, artefacts=("0x" + false.sha256,))
    forge.write(VERDICTS_FILE, verdicts)
    others = [Artefact(one.name, one.text) for one in forge.records(ARTEFACTS_FILE, ArtefactRecord)]
    forge.write(ARTEFACTS_FILE, artefact_records([*others, false]))
    assert_fails_at(forge.certified().audit(EVERYTHING), 13, "is not proved: Z3 says sat, cvc5 says sat")


def test_verdict_with_the_proof_of_something_else(forge: Forge) -> None:
    """Both solvers prove the obligation; only judging the claim again shows that it is not this claim's."""
    verdicts = forge.records(VERDICTS_FILE, VerdictRecord)
    at = next(index for index, verdict in enumerate(verdicts) if verdict.outcome == "refuted")
    other = next(verdict.artefacts for verdict in verdicts if verdict.proved)
    verdicts[at] = replace(verdicts[at], outcome="proved", counterexample={}, artefacts=other)
    forge.write(VERDICTS_FILE, verdicts)
    forged = forge.certified()
    assert forged.audit(EVERYTHING).passed, "this is why an auditor should judge again"
    with Solvers(LIMITS) as solvers:
        report = forged.audit(replace(EVERYTHING, judging=ToyJudge(solvers)))
    assert_fails_at(report, 13, "its outcome is refuted when judged again, proved is recorded")


def test_refuted_answer_that_is_recorded_as_unknown(forge: Forge) -> None:
    verdicts = forge.records(VERDICTS_FILE, VerdictRecord)
    at = next(index for index, verdict in enumerate(verdicts) if verdict.outcome == "refuted")
    with pytest.raises(CanonicalFormatError, match=r"verdict\.claim must be there"):
        replace(verdicts[at], outcome="unknown", counterexample={}, claim=None)
    with pytest.raises(CanonicalFormatError, match=r"verdict\.claim must be a claim of the kind text"):
        replace(verdicts[at], kind="text", outcome="unknown", counterexample={})
    verdicts[at] = replace(verdicts[at], outcome="unknown", counterexample={})
    forge.write(VERDICTS_FILE, verdicts)
    with Solvers(LIMITS) as solvers:
        report = forge.certified().audit(replace(EVERYTHING, judging=ToyJudge(solvers)))
    assert_fails_at(report, 13, "its outcome is refuted when judged again, unknown is recorded")


def test_verdict_that_says_it_checked_more(forge: Forge) -> None:
    verdicts = forge.records(VERDICTS_FILE, VerdictRecord)
    forge.write(VERDICTS_FILE, [replace(verdicts[0], checked="For every matrix."), *verdicts[1:]])
    with Solvers(LIMITS) as solvers:
        report = forge.certified().audit(replace(EVERYTHING, judging=ToyJudge(solvers)))
    assert_fails_at(report, 13, "its checked is")


def test_claim_that_cannot_be_judged_is_unknown_again(forge: Forge) -> None:
    """A distillation records it as unknown, so an auditor's judge that refuses it agrees."""
    verdict = Verdict(Kind.PYTHON, Outcome.UNKNOWN, "Nothing was checked.", "It is no function.")
    record = VerdictRecord.of(verdict, "Write f.", "No.", "oracle", json.dumps({"kind": "python", "code": "No."}))
    forge.write(VERDICTS_FILE, [*forge.records(VERDICTS_FILE, VerdictRecord), record])
    with Solvers(LIMITS) as solvers:
        toy = ToyJudge(solvers)

        def judging(claim: str, limits: SolverLimits) -> Verdict:
            if '"code"' in claim:
                raise ClaimError("it is no function", advice="Write one.")
            return toy(claim, limits)

        report = forge.certified().audit(replace(EVERYTHING, judging=judging))
    assert report.passed, report.failed_step


def test_verdict_hidden_or_changed_in_the_stored_file_alone(distilled: Distilled) -> None:
    lines = (distilled.folder / VERDICTS_FILE).read_bytes().splitlines(keepends=True)
    for data, reason in ((b"".join(lines[1:]), "root"), (b"{}\n", "lacks the field")):
        judge = replace(distilled.certificate.judge, verdicts=FileReference.store(data, distilled.store))
        assert_fails_at(distilled.certified(replace(distilled.certificate, judge=judge)).audit(), 11, reason)


def test_artefact_that_is_another_text(distilled: Distilled) -> None:
    data = (distilled.folder / ARTEFACTS_FILE).read_bytes().replace(b"(not (=", b"(and (=", 1)
    judge = replace(distilled.certificate.judge, artefacts=FileReference.store(data, distilled.store))
    report = distilled.certified(replace(distilled.certificate, judge=judge)).audit()
    assert_fails_at(report, 13, "not those that verdicts name")


def test_teacher_that_is_not_named(distilled: Distilled) -> None:
    without = replace(distilled.certificate, teachers=distilled.certificate.teachers[1:], cost_usd="0.0125")
    assert_fails_at(distilled.certified(without).audit(), 14, "a teacher that is not certified: ['liar']")


def test_weight_of_the_child(forge: Forge, distilled: Distilled, tmp_path: Path) -> None:
    """One weight more than the adapter explains, registered and evaluated in due form."""
    child = tmp_path / "child"
    shutil.copytree(distilled.child, child)
    weights = load_file(child / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] += 0.125
    save_file(weights, child / "model.safetensors", metadata={"format": "pt"})
    scored = score_of(list(evaluator(child).results(forge.records(EVALUATION_FILE, ProblemRecord))))
    forge.summarise(lambda summary: replace(summary, after=scored))
    reason = "model.layers.1.mlp.up_proj.weight is not the parent's, and the adapter does not change it"
    assert_fails_at(forge.certified(child).audit(EVERYTHING), 19, reason)


def test_weight_of_the_child_where_the_adapter_changes_it(forge: Forge, distilled: Distilled, tmp_path: Path) -> None:
    child = tmp_path / "child"
    shutil.copytree(distilled.child, child)
    weights = load_file(child / "model.safetensors")
    weights["model.layers.0.self_attn.q_proj.weight"][0, 0] += 0.25
    save_file(weights, child / "model.safetensors", metadata={"format": "pt"})
    scored = score_of(list(evaluator(child).results(forge.records(EVALUATION_FILE, ProblemRecord))))
    forge.summarise(lambda summary: replace(summary, after=scored))
    assert_fails_at(forge.certified(child).audit(EVERYTHING), 19, "is not the parent's plus the adapter's")


def test_configuration_of_the_child(forge: Forge, distilled: Distilled, tmp_path: Path) -> None:
    child = tmp_path / "child"
    shutil.copytree(distilled.child, child)
    config = json.loads((child / "config.json").read_text())
    (child / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 2e-6}))
    scored = score_of(list(evaluator(child).results(forge.records(EVALUATION_FILE, ProblemRecord))))
    forge.summarise(lambda summary: replace(summary, after=scored))
    assert_fails_at(forge.certified(child).audit(EVERYTHING), 19, "another rms_norm_eps than the parent's")


def test_weights_other_than_the_registered(distilled: Distilled) -> None:
    owner, version = distilled.chain.published[distilled.version_id]
    chain = Registries(distilled.chain.anchors, {**distilled.chain.published, distilled.version_id: (
        owner, replace(version, weights_root=bytes(32)))})  # fmt: skip
    assert_fails_at(replace(distilled, chain=chain).audit(), 5, "weights root")
    lying = distilled.certificate
    lying = replace(lying, model=replace(lying.model, weights_root="0x" + "00" * 32))
    assert_fails_at(replace(distilled, chain=chain).certified(lying).audit(), 8, "weights root of the checkpoint")


def test_adapter_of_another_training(forge: Forge) -> None:
    lora = load_file(forge.folder / ADAPTER_FILE)
    save_file({name: torch.zeros_like(tensor) for name, tensor in lora.items()}, forge.folder / ADAPTER_FILE)
    assert_fails_at(forge.certified().audit(), 19, "is not the parent's plus the adapter's")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("lora_alpha", 8, "is not the parent's plus the adapter's"),
        ("r", 3, "a matrix has not the rank 3"),
        ("r", 0, "configuration cannot be read"),
        ("use_dora", True, "use_dora is not one that an audit can merge"),
        ("peft_type", "IA3", "no LoRA adapter"),
    ],
)
def test_adapter_that_is_merged_in_another_way(forge: Forge, field: str, value: object, reason: str) -> None:
    config = json.loads((forge.folder / ADAPTER_CONFIG_FILE).read_text())
    (forge.folder / ADAPTER_CONFIG_FILE).write_text(json.dumps({**config, field: value}))
    assert_fails_at(forge.certified().audit(AuditRequest(sample=1)), 19, reason)


def test_files_that_are_no_adapter(forge: Forge) -> None:
    (forge.folder / ADAPTER_FILE).write_bytes(b"junk")
    assert_fails_at(forge.certified().audit(AuditRequest(sample=1)), 19, "cannot be read")


# Metrics


def flattered(score: CertifiedScore, total: int) -> CertifiedScore:
    """One more hit, with every figure that follows from it."""
    hits = unpacked_bits(score.hit_bits, total)
    assert hits is not None
    hits[hits.index(False)] = True
    return score_from(hits, score.losses, score.answer_tokens)


def test_metrics_after_that_are_one_hit_too_good(distilled: Distilled) -> None:
    evaluation = distilled.certificate.evaluation
    better = replace(evaluation, after=flattered(evaluation.after, evaluation.total))
    report = distilled.certified(replace(distilled.certificate, evaluation=better)).audit(EVERYTHING)
    assert_fails_at(report, 17, "is solved after is False, the certificate says True")


def test_metrics_before_that_are_one_hit_too_good(distilled: Distilled) -> None:
    evaluation = distilled.certificate.evaluation
    better = replace(evaluation, before=flattered(evaluation.before, evaluation.total))
    report = distilled.certified(replace(distilled.certificate, evaluation=better)).audit(EVERYTHING)
    assert_fails_at(report, 17, "is solved before is False, the certificate says True")


def test_losses_are_exact_for_each_problem(distilled: Distilled) -> None:
    evaluation = distilled.certificate.evaluation
    after, hits = evaluation.after, unpacked_bits(evaluation.after.hit_bits, evaluation.total)
    assert hits is not None
    lower = score_from(hits, (after.losses[0] - 1, *after.losses[1:]), after.answer_tokens)
    report = distilled.certified(replace(distilled.certificate, evaluation=replace(evaluation, after=lower))).audit(
        EVERYTHING
    )
    assert_fails_at(report, 17, "on problem 0 after")


@pytest.mark.parametrize("spelled", [" {}\n".format, str.upper, str.split], ids=["blanks", "upper", "spaces"])
def test_problem_that_was_trained_on(forge: Forge, spelled: Callable[[str], str | list[str]]) -> None:
    problem = forge.records(EVALUATION_FILE, ProblemRecord)[0]
    said = spelled(problem.prompt)
    known = Verdict(Kind.TEXT, Outcome.UNKNOWN, "Nothing.", "Nothing.")
    learned = ExampleRecord(said if isinstance(said, str) else "  ".join(said), problem.answer, "oracle", "text", 0.9)
    verdict = VerdictRecord.of(known, learned.prompt, learned.response, "oracle")
    forge.write(DATASET_FILE, [*forge.records(DATASET_FILE, ExampleRecord), learned])
    forge.write(VERDICTS_FILE, [*forge.records(VERDICTS_FILE, VerdictRecord), verdict])
    assert_fails_at(forge.certified().audit(EVERYTHING), 16, "was trained on")


def test_rise_that_is_too_small(forge: Forge, distilled: Distilled, published: Published) -> None:
    problems = [replace(one, answer="never") for one in forge.records(EVALUATION_FILE, ProblemRecord)]
    forge.write(EVALUATION_FILE, problems)
    before, after = (
        score_of(list(evaluator(folder).results(problems)))
        for folder in (published.publication.folder, distilled.child)
    )
    forge.summarise(lambda summary: replace(summary, before=before, after=after))
    assert_fails_at(forge.certified().audit(EVERYTHING), 18, "the rise is too small to deploy")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer_config.json", '{"chat_template": "{{ messages[0].content }} a b"}'),
        ("chat_template.jinja", "{{ messages[0].content }} a b"),
        ("special_tokens_map.json", "{}"),
        ("generation_config.json", "{}"),
    ],
)
def test_child_that_reads_or_ends_texts_otherwise(
    forge: Forge, distilled: Distilled, published: Published, tmp_path: Path, name: str, text: str
) -> None:
    """The rise could come from the template: then no adapter would be behind it."""
    child = shutil.copytree(distilled.child, tmp_path / "child")
    (child / name).write_text(text)
    problems = forge.records(EVALUATION_FILE, ProblemRecord)
    known = (
        evaluation_set(evaluator(published.publication.folder), evaluator(child)) if "messages" in text else problems
    )
    forge.write(EVALUATION_FILE, list(known))
    before, after = (score_of(list(evaluator(one).results(known))) for one in (published.publication.folder, child))
    forge.summarise(lambda summary: replace(summary, before=before, after=after))
    assert_fails_at(forge.certified(child).audit(LITTLE), 19, f"the child's {name} is not the parent's")


# Signature, anchor, parent, training


def test_signed_by_somebody_else(distilled: Distilled) -> None:
    assert_fails_at(distilled.anchored(distilled.certificate.sign(STRANGER)).audit(), 3, "signed by")


def test_not_anchored(distilled: Distilled) -> None:
    chain = Registries({}, distilled.chain.published)
    assert_fails_at(replace(distilled, chain=chain).audit(), 4, "no certificate is anchored")


def test_document_of_another_schema(distilled: Distilled) -> None:
    plain = json.loads(distilled.signed.to_bytes())
    del plain["certificate"]["training"]["seeds"]
    cid = distilled.store.add_bytes(canonical_bytes(plain))
    report = audit(str(cid), distilled.store, distilled.chain)
    assert_fails_at(report, 2, "lacks the field ['seeds']")
    assert report.steps[0].total == len(DISTILLATION_STEPS)


def test_parent_without_a_certificate(distilled: Distilled, published: Published) -> None:
    """A parent that was published without one: the certificate must not claim another."""
    anchors = {distilled.version_id: distilled.chain.anchors[distilled.version_id]}
    orphan = replace(distilled, chain=Registries(anchors, distilled.chain.published))
    assert_fails_at(orphan.audit(), 6, "the parent's certificate is None")
    honest = replace(certified_parent(published), certificate=None)
    assert orphan.certified(replace(distilled.certificate, parent=honest)).audit(AuditRequest(sample=2)).passed
    assert_fails_at(distilled.certified(replace(distilled.certificate, parent=honest)).audit(), 6, "certificate is")


def test_parent_that_got_its_certificate_later(distilled: Distilled, published: Published) -> None:
    """Else anchoring one for the parent would break every child's certificate."""
    honest = replace(certified_parent(published), certificate=None)
    child = distilled.certified(replace(distilled.certificate, parent=honest))
    first, mine = (child.chain.anchors[version] for version in (published.version_id, child.version_id))
    for later, passed in ((mine.anchored_at + 1, True), (mine.anchored_at - 1, False)):
        anchors = {**child.chain.anchors, published.version_id: replace(first, anchored_at=later)}
        report = replace(child, chain=Registries(anchors, child.chain.published)).audit(AuditRequest(sample=2))
        assert report.passed == passed, report.failed_step


def test_version_that_has_no_parent(distilled: Distilled) -> None:
    owner, version = distilled.chain.published[distilled.version_id]
    published = {**distilled.chain.published, distilled.version_id: (owner, replace(version, parent=bytes(32)))}
    model = replace(distilled.certificate.model, parent="0x" + "00" * 32)
    rootless = replace(distilled, chain=Registries(distilled.chain.anchors, published))
    assert_fails_at(rootless.certified(replace(distilled.certificate, model=model)).audit(), 6, "has no parent")


def test_training_again_gives_another_adapter(distilled: Distilled) -> None:
    training = distilled.certificate.training
    other = replace(training, configuration={**training.configuration, "num_epochs": "4"})
    changed = distilled.certified(replace(distilled.certificate, training=other))
    assert changed.audit(replace(LITTLE, retrainer=None)).passed, "nobody sees it without training again"
    assert_fails_at(changed.audit(LITTLE), 20, "adapter that training gives here")


def test_not_re_trainable_here(distilled: Distilled) -> None:
    report = distilled.audit(replace(LITTLE, retrainer=ToyRetrainer("another-class")))
    last = report.steps[-1]
    assert (report.passed, last.checked) == (True, False)
    assert last.detail.startswith("not re-trainable here: it was trained on test-class")
    nowhere = replace(distilled.certificate.training, cpu_class="x86-64-unclassified")
    unclassified = distilled.certified(replace(distilled.certificate, training=nowhere))
    report = unclassified.audit(replace(LITTLE, retrainer=ToyRetrainer("x86-64-unclassified")))
    assert (report.passed, report.steps[-1].checked) == (True, False)
    assert "promises no two machines the same adapter" in report.steps[-1].detail
    training = replace(distilled.certificate.training, libraries={"torch": "1.0"})
    report = distilled.certified(replace(distilled.certificate, training=training)).audit(LITTLE)
    assert "not re-trainable here: it was trained with torch 1.0" in report.steps[-1].detail


def test_anchor_of_another_document(distilled: Distilled) -> None:
    first = distilled.chain.anchors[distilled.version_id]
    anchor = AnchoredCertificate(first.cid, bytes(32), 1)
    chain = Registries({**distilled.chain.anchors, distilled.version_id: anchor}, distilled.chain.published)
    assert_fails_at(replace(distilled, chain=chain).audit(), 4, "the anchored hash is")
