"""Which texts are the same text, what is no example, and when a set is ready."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.distillation.memory.errors import ExampleError
from nexus_chain.distillation.memory.example import TrainingDataset
from nexus_chain.distillation.memory.normal_form import normal_form
from tests.support.memory_examples import example


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is  it?\n", " what IS\tit? "),
        ("ＡＢＣ １２", "abc 12"),
        ("ﬁne", "FINE"),
        ("Straße", "STRASSE"),
        ("cafe\u0301", "café"),
    ],
)
def test_spellings_of_one_text_have_one_hash(one: str, other: str) -> None:
    assert example(one).hash == example(other).hash
    assert example("x", one).hash == example("x", other).hash


@pytest.mark.parametrize(
    ("one", "other"),
    [("10²", "102"), ("x²", "x2"), ("17 + 25", "17 + 26"), ("a < b", "a <= b"), ("ab", "a b")],
)
def test_other_texts_have_other_hashes(one: str, other: str) -> None:
    assert example(one).hash != example(other).hash


def test_a_raised_number_is_read_as_a_power() -> None:
    assert example("2¹⁰").hash == example("2^10").hash


def test_code_keeps_its_case_and_indentation_and_loses_ends_of_lines() -> None:
    code = example("f", "def f():\n    return True", category="code")
    assert example("f", "def f():  \r\n    return True\n\n", category="code").hash == code.hash
    assert example("f", "def f():\n  return True", category="code").hash != code.hash
    assert example("f", "def f():\n    return true", category="code").hash != code.hash


def test_prompt_and_response_do_not_run_into_each_other() -> None:
    assert example("a b", "c").hash != example("a", "b c").hash


@given(st.text(), st.sampled_from(["code", "text"]))
def test_the_normal_form_is_its_own_normal_form(text: str, category: str) -> None:
    once = normal_form(text, category)
    assert normal_form(once, category) == once


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": " \n"}, "prompt is empty"),
        ({"response": ""}, "response is empty"),
        ({"response": "a\0b"}, "no database keeps"),
        ({"prompt": "half \ud83d"}, "no database keeps"),
        ({"prompt": "x" * 1_000_001}, "1000001 characters"),
        ({"source": ""}, "source is empty"),
        ({"confidence": 1.01}, "confidence"),
        ({"confidence": float("nan")}, "confidence"),
        ({"confidence": True}, "confidence"),
        ({"category": "poetry"}, "category"),
        ({"timestamp": float("inf")}, "timestamp"),
        ({"timestamp": -1.0}, "timestamp"),
        ({"verification_proof": "\0"}, "verification_proof"),
        ({"hash": "0" * 63}, "hash"),
        ({"hash": "G" * 64}, "hash"),
    ],
)
def test_what_is_no_example_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ExampleError, match=message) as caught:
        replace(example("p"), **fields)  # type: ignore[arg-type]
    assert caught.value.advice


def test_the_maker_refuses_the_same() -> None:
    with pytest.raises(ExampleError, match="no database keeps"):
        example("half \ud83d")


def test_a_dataset_counts_what_it_holds_in_an_order_of_its_own() -> None:
    examples = [example(f"task {number}", category="math", confidence=0.5) for number in range(3)]
    found = TrainingDataset.of([*examples, example("b", category="code", confidence=0.9)])
    assert found == TrainingDataset.of([example("b", category="code", confidence=0.9), *reversed(examples)])
    assert (found.total_count, found.categories) == (4, {"code": 1, "math": 3})
    assert found.avg_confidence == pytest.approx(0.6)
    assert not found.ready_for_training
    empty = TrainingDataset.of([])
    assert (empty.total_count, empty.avg_confidence, empty.ready_for_training) == (0, 0.0, False)


@pytest.mark.parametrize(("good", "ready"), [(1000, True), (999, False)])
def test_a_thousand_good_examples_are_enough(good: int, ready: bool) -> None:
    examples = [example(f"task {number}", confidence=0.8 if number < good else 0.799) for number in range(1005)]
    assert TrainingDataset.of(examples).ready_for_training is ready
