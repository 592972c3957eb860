"""Examples, verdicts, artefacts and teachers that were tampered with, certified in due form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from nexus_chain.certificates.distillation_counting import by_answer, verified_count
from nexus_chain.certificates.distillation_publication import (
    ARTEFACTS_FILE,
    DATASET_FILE,
    VERDICTS_FILE,
)
from nexus_chain.certificates.distillation_records import (
    ArtefactRecord,
    ExampleRecord,
    VerdictRecord,
    artefact_records,
)
from nexus_chain.content.errors import CanonicalFormatError
from nexus_chain.distillation.judge.errors import ClaimError
from nexus_chain.distillation.judge.solvers import SolverLimits, Solvers
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict
from nexus_chain.versions.manifest import FileReference
from tests.support.forged_distillation import EVERYTHING, Forge, assert_fails_at
from tests.support.tiny_distillation import (
    LIMITS,
    Distilled,
    ToyJudge,
    obligation,
    sides,
)


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
