"""Figures about an evaluation set: exact arithmetic, and answers that do not depend on their batch."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.certificates import distillation_evaluation
from nexus_chain.certificates.distillation_certificate import CertifiedScore
from nexus_chain.certificates.distillation_evaluation import (
    is_deployable,
    is_hit,
    packed_bits,
    score_from,
    unpacked_bits,
)
from nexus_chain.certificates.distillation_publication import EVALUATION_FILE
from nexus_chain.certificates.distillation_records import ProblemRecord
from nexus_chain.certificates.errors import EvaluationSetError
from nexus_chain.content.record_lines import RecordLines
from nexus_chain.distillation.lora.accuracy import MeasuredAccuracy
from nexus_chain.engine.generation import generate
from tests.support.tiny_distillation import Distilled, evaluator


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_bits_are_packed_and_unpacked(bits: list[bool]) -> None:
    text = packed_bits(bits)
    assert unpacked_bits(text, len(bits)) == bits
    assert unpacked_bits(text, len(bits) + 8) is None
    assert unpacked_bits(text + "00", len(bits)) is None
    assert unpacked_bits("0x", len(bits)) is None


def test_a_bit_beyond_the_last_problem_is_no_bit() -> None:
    assert packed_bits([True, False, True]) == "0x05"
    assert unpacked_bits("0x0d", 3) is None


@given(st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_is_wilsons(counted: tuple[int, int]) -> None:
    """Its ends are the rates p with (hits/total - p)^2 = z^2 p (1 - p) / total, for z = 1.95996..."""
    hits, total = counted
    rate, z2 = Decimal(hits) / total, Decimal("1.959963984540054") ** 2
    low, high = MeasuredAccuracy(hits, total).interval
    nothing = Decimal("1e-20")
    assert -nothing < low < rate + nothing
    assert rate - nothing < high < 1 + nothing
    for end in (low, high):
        assert abs((rate - end) ** 2 - z2 * end * (1 - end) / total) < nothing


def score(hits: int, total: int) -> CertifiedScore:
    return score_from([index < hits for index in range(total)], [1] * total, total)


@pytest.mark.parametrize(
    ("before", "after", "total", "deployable"),
    [
        (400, 450, 1000, False),  # exactly 5 points
        (400, 451, 1000, True),
        (40, 46, 100, False),  # more than 5 points, but the interval reaches below
        (0, 10, 10, True),
        (5, 5, 10, False),
        (9, 3, 10, False),
    ],
)
def test_the_rule_for_deployment(before: int, after: int, total: int, deployable: bool) -> None:
    assert is_deployable(score(before, total), score(after, total)) is deployable


def test_figures_of_a_score() -> None:
    found = score_from([True, False, True, True], [1000, 500, 0, 501], 7)
    assert (found.hits, found.accuracy, found.answer_tokens) == (3, "0.750000", 7)
    assert found.loss == f"{(Decimal(2001) / 7000).quantize(Decimal('0.000001'))}"
    assert found.perplexity == "1.3309"


@given(st.lists(st.integers(0, 2**53), min_size=1, max_size=5), st.integers(1, 2**40))
def test_no_losses_are_too_large_to_be_written(losses: list[int], tokens: int) -> None:
    found = score_from([True] * len(losses), losses, tokens)
    assert Decimal(found.perplexity) >= 1
    assert Decimal(found.loss) >= 0


@pytest.mark.parametrize(("answer", "hit"), [("42", True), (" 42\n", True), ("42.", False), ("", False)])
def test_a_hit_is_the_expected_answer_and_nothing_else(answer: str, hit: bool) -> None:
    assert is_hit(answer, ProblemRecord("6 x 7?", "42 ")) is hit


def test_answers_do_not_depend_on_their_batch(distilled: Distilled, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (distilled.folder / EVALUATION_FILE).read_bytes()
    problems = RecordLines.read(ProblemRecord, data, "evaluation").records[:6]
    child = evaluator(distilled.child)
    together = list(child.results(problems))
    monkeypatch.setattr(distillation_evaluation, "_BATCH", 1)
    assert list(child.results(problems)) == together
    alone = list(generate([child.engine], child.prompt(problems[0]), child.max_tokens))
    assert child.codec.decode(alone).startswith(together[0].answer)
    assert together[0].hit
    assert together[0].loss > 0


def test_a_problem_that_does_not_fit_is_named(distilled: Distilled) -> None:
    child = evaluator(distilled.child)
    with pytest.raises(EvaluationSetError, match="exceed the model's context of 32 tokens"):
        list(child.results([ProblemRecord("long " * 40, "x")]))
    with pytest.raises(EvaluationSetError, match="context"):
        list(replace(child, max_tokens=1000).results([ProblemRecord("def", "x")]))
