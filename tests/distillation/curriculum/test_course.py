"""Problems with exact answers: the same for the same seed, and none held out that was learned."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.distillation.curriculum.course import DEFAULT_GENERATORS, TWO_DIGIT_SUMS, curriculum
from nexus_chain.distillation.curriculum.errors import CurriculumError
from nexus_chain.distillation.curriculum.problems import (
    GeneratorSettings,
    answer_in,
    problem,
    solves,
    wrong_answer,
)

SEEDS = st.integers(0, 2**31 - 1)
WORDS = GeneratorSettings("spell_backward", {"max_word_len": 5}, category="text", numeric=False)


@settings(max_examples=10)
@given(SEEDS)
def test_same_seed_same_problems_and_nothing_in_common(seed: int) -> None:
    found = curriculum(seed, training=30, held_out=10)
    assert found == curriculum(seed, training=30, held_out=10)
    assert (len(found.training), len(found.held_out)) == (30, 10)
    operands = [one.operands for one in (*found.training, *found.held_out)]
    assert len(set(operands)) == 40


def test_other_seeds_give_other_problems() -> None:
    assert curriculum(1, training=5, held_out=5) != curriculum(2, training=5, held_out=5)


def test_more_training_keeps_what_is_held_out() -> None:
    assert curriculum(3, training=5, held_out=9).held_out == curriculum(3, training=50, held_out=9).held_out


def test_generators_take_turns() -> None:
    found = curriculum(1, training=4, held_out=2, generators=(TWO_DIGIT_SUMS, WORDS))
    assert [one.generator.name for one in found.held_out] == ["chain_sum", "spell_backward"]
    assert [one.category for one in found.training] == ["math", "text"] * 2


@given(SEEDS)
def test_a_problem_is_made_again_from_its_seed(seed: int) -> None:
    found = problem(TWO_DIGIT_SUMS, seed)
    assert found == problem(TWO_DIGIT_SUMS, seed)
    assert re.fullmatch(r"[1-9]\d [+-] [1-9]\d", found.expected_expression or "")
    assert found.expected_expression in found.prompt


@given(SEEDS)
def test_right_answers_count_however_they_are_said_and_wrong_ones_never(seed: int) -> None:
    asked = problem(TWO_DIGIT_SUMS, seed)
    right, wrong = asked.answer, wrong_answer(asked)
    assert wrong == wrong_answer(asked)
    for said in ("{}", "The answer is {}.", "**{}**", f"{asked.expected_expression} = {{}}", " {}\n"):
        assert solves(asked, said.format(right))
        assert not solves(asked, said.format(wrong))


@pytest.mark.parametrize("said", ["", "  ", "no idea", "nan", "inf", "1e", "٤٢", "9" * 5000, "10**10**10"])
def test_no_answer_is_wrong(said: str) -> None:
    assert not solves(problem(TWO_DIGIT_SUMS, 1), said)


def test_the_expression_is_what_python_says() -> None:
    for seed in range(50):
        asked = problem(TWO_DIGIT_SUMS, seed)
        first, sign, second = (asked.expected_expression or "").split()
        assert int(asked.answer) == int(first) + int(sign + second)


def test_words_are_answered_by_the_last_line() -> None:
    asked = problem(WORDS, 4)
    assert asked.expected_expression is None
    assert answer_in(asked, f"Here it is:\n{asked.answer} \n") == asked.answer
    assert solves(asked, asked.answer)
    assert not solves(asked, asked.answer + "x")
    with pytest.raises(CurriculumError, match="no integers"):
        wrong_answer(asked)


def test_too_many_problems_are_refused() -> None:
    few = GeneratorSettings("chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1})
    with pytest.raises(CurriculumError, match=r"only .* different problems of the 60 wanted"):
        curriculum(0, training=50, held_out=10, generators=(few,))


@pytest.mark.parametrize(
    "bad",
    [
        GeneratorSettings("no_such"),
        GeneratorSettings("chain_sum", {"min_terms": 0}),
        GeneratorSettings("chain_sum", {"colour": 1}),
    ],
)
def test_a_bad_generator_is_refused(bad: GeneratorSettings) -> None:
    with pytest.raises(CurriculumError, match="refuses its settings"):
        problem(bad, 1)


def test_the_default_can_be_proved() -> None:
    """A judge proves integer expressions."""
    for generator in DEFAULT_GENERATORS:
        assert problem(generator, 0).expected_expression
