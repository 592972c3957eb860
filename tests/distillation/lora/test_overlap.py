"""Held-out problems among the examples are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.distillation.lora.errors import OverlapError
from nexus_chain.distillation.lora.overlap import overlaps, require_disjoint

SUM = "State the final answer to the following arithmetic problem: {} + {} ="
STORY = "A farmer who lives near the old river sells his apples at the market in the town each and every morning"


def test_an_equal_prompt_is_named() -> None:
    training = [SUM.format(1, 2), SUM.format(3, 4)]
    with pytest.raises(OverlapError, match=r"held-out problem 2 .* equals example 1 .*1 of 2 overlap"):
        require_disjoint(training, [SUM.format(5, 6), SUM.format(1, 2)])


@pytest.mark.parametrize("changed", [SUM.format(1, 2).upper(), "  " + SUM.format(1, 2).replace(" ", "  ")])
def test_case_and_spaces_make_no_difference(changed: str) -> None:
    assert [one.likeness for one in overlaps([SUM.format(1, 2)], [changed])] == [1.0]


def test_other_digits_of_the_same_numbers_are_the_same() -> None:
    assert list(overlaps(["add ４ and 5"], ["add 4 and 5"]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 3 + 4?", "What is 3+4?"),
        ("State the final answer to 12 - 7.", "State the final answer to 12 -7."),
        ("What is 1,000 plus 2?", "What is 1000 plus 2?"),
        ("What is 1,234,567.50 plus 2?", "What is 1'234'567.5 plus 2?"),
        ("What is 1_000 plus 2?", "What is 1000 plus 2?"),
        ("What is 3 plus 4?", "What is 3.0 plus 4.00?"),
        ("What is 03 plus 0?", "What is 3 plus 00?"),
        ("What is 3 plus 4?", "What is \u0663 plus \u0664?"),
        ("What is 3\u200b plus 4?", "Wh\u00adat is 3 plus 4?"),
        ("What is 3 \u2212 4?", "What is 3 - 4?"),
        ("What is 3 \u00d7 4?", "What is 3x4?"),
        ("What is 3 \u00d7 4?", "What is 3 * 4?"),
        ("Compute 5*6.", "Compute 5 * 6 ."),
        ("The greater of (3,4)?", "The greater of (3, 4)?"),
    ],
)
def test_one_problem_in_another_spelling_is_the_same(one: str, other: str) -> None:
    assert [found.likeness for found in overlaps([one], [other])] == [1.0]


@pytest.mark.parametrize(
    ("one", "other"),
    [("3 + 4", "3 - 4"), ("3 + 4", "4 + 3"), ("1,0 + 2", "10 + 2"), ("3.5 + 1", "35 + 1"), ("3 + -4", "3 + 4")],
)
def test_another_value_or_sign_is_another_problem(one: str, other: str) -> None:
    require_disjoint([f"{STORY}: {one}"], [f"{STORY}: {other}"])


@pytest.mark.parametrize("prompt", ["", " ", "___", "\u200b"])
def test_a_prompt_without_words_equals_itself_alone(prompt: str) -> None:
    assert [one.example for one in overlaps(["x", prompt], [prompt])] == [1]


def test_nearly_the_same_words_are_found() -> None:
    (found,) = overlaps(["Something else entirely", STORY + " ."], [STORY + " !"])
    assert found.example == 1
    assert 0.8 <= found.likeness < 1


def test_same_numbers_in_other_words_are_another_problem() -> None:
    require_disjoint([SUM.format(1, 2)], ["What is the greatest common divisor of 1 and 2?"])


@given(st.sets(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=2, max_size=40), st.data())
def test_one_template_with_other_numbers_does_not_overlap(pairs: set[tuple[int, int]], data: st.DataObject) -> None:
    rows = sorted(pairs)
    cut = data.draw(st.integers(1, len(rows) - 1))
    prompts = [SUM.format(*pair) for pair in rows]
    assert not list(overlaps(prompts[:cut], prompts[cut:]))
    assert len(list(overlaps(prompts, prompts[cut:]))) == len(rows) - cut
