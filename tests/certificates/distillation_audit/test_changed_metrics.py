"""Metrics that are better than the models, and problems that were trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nexus_chain.certificates.distillation_certificate import (
    CertifiedScore,
)
from nexus_chain.certificates.distillation_evaluation import score_from, score_of, unpacked_bits
from nexus_chain.certificates.distillation_publication import (
    DATASET_FILE,
    EVALUATION_FILE,
    VERDICTS_FILE,
)
from nexus_chain.certificates.distillation_records import (
    ExampleRecord,
    ProblemRecord,
    VerdictRecord,
)
from nexus_chain.distillation.judge.verdict import Kind, Outcome, Verdict
from tests.support.forged_distillation import EVERYTHING, LITTLE, Forge, assert_fails_at
from tests.support.tiny_distillation import (
    Distilled,
    evaluation_set,
    evaluator,
)
from tests.support.tiny_publication import Published


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
