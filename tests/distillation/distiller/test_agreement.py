"""Final answers in one spelling, and who agrees with whom."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nexus_chain.distillation.distiller.agreement import EmbeddingAgreement, ExactAgreement, agreement_of
from nexus_chain.distillation.distiller.errors import EmbedderError
from nexus_chain.distillation.distiller.final_answer import final_answer
from nexus_chain.distillation.distiller.source import GivenAnswer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("42", "42"),
        (" The answer is 42. ", "42"),
        ("2 + 2 = 4\nAnswer: 4", "4"),
        ("First 3.\n#### 1,234.50", "1234.5"),
        (r"So \boxed{ -7 }.", "-7"),
        ("answer is 1 — no: the answer is 2", "2"),
        ("+0.0", "0"),
        ("-0", "0"),
        ("٤٢", "42"),
        ("４２", "42"),
        ("10²", "10²"),
        ("−5", "-5"),
        ("1,23", "1,23"),
        ("  Paris,   FRANCE! ", "paris, france"),
        ("", ""),
        ("9" * 2000, "9" * 2000),
    ],
)
def test_a_final_answer_has_one_spelling(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@given(st.text())
def test_a_final_answer_is_its_own(text: str) -> None:
    """No text is too strange, and two spellings are enough to compare."""
    once = final_answer(text)
    assert final_answer(f"#### {once}" if once else "") in (once, final_answer(once))


@given(st.integers(-(10**30), 10**30))
def test_a_number_is_found_however_it_is_said(number: int) -> None:
    assert {
        final_answer(text) for text in (f"{number}", f"{number:,}", f"Answer: {number}.00", f"\\boxed{{{number}}}")
    } == {str(number)}


def given_answers(*pairs: tuple[str, str]) -> list[GivenAnswer]:
    return [GivenAnswer(f"s{number}", provider, text, Decimal(0)) for number, (provider, text) in enumerate(pairs)]


def agreements(*pairs: tuple[str, str], heard: Sequence[bool] | None = None) -> list[float]:
    answers = given_answers(*pairs)
    alike = ExactAgreement().likeness([answer.text for answer in answers])
    return [agreement_of(index, answers, heard or [True] * len(answers), alike) for index in range(len(answers))]


def test_agreement_is_the_share_of_the_other_providers() -> None:
    assert agreements(("p", "1"), ("q", "Answer: 1"), ("r", "2"), ("s", "1")) == pytest.approx([2 / 3, 2 / 3, 0, 2 / 3])


def test_nobody_vouches_for_himself() -> None:
    assert agreements(("p", "1")) == [0]
    assert agreements(("p", "1"), ("p", "1"), ("p", "1")) == [0, 0, 0]


def test_a_hundred_names_of_one_provider_are_one_voice() -> None:
    many = agreements(("honest", "1"), ("other", "1"), *[("liar", "2")] * 100)
    assert many[:2] == [0.5, 0.5]
    assert many[2] == 0


def test_a_provider_that_says_two_things_has_half_a_voice_for_each() -> None:
    assert agreements(("p", "1"), ("q", "1"), ("q", "2"))[0] == 0.5


def test_who_is_not_heard_has_no_voice() -> None:
    assert agreements(("p", "1"), ("q", "2"), ("r", "1"), heard=[True, False, True])[0] == 1
    assert agreements(("p", "1"), ("q", "1"), heard=[True, False])[0] == 0


class Letters:
    """A text's vector counts its letters."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float32)


class Rows:
    def __init__(self, rows: list[list[float]]) -> None:
        self._rows = rows

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array(self._rows, dtype=np.float32)


def test_embeddings_agree_by_their_cosine() -> None:
    alike = EmbeddingAgreement(Letters()).likeness(["aa", "aaaa", "b", "ab", ""])
    assert alike[0] == pytest.approx([1, 1, 0, 0.5**0.5, 0])
    assert [alike[index][index] for index in range(5)] == [1] * 5
    assert alike == [list(column) for column in zip(*alike, strict=True)]


def test_different_numbers_do_not_agree_however_alike_the_sentences_are() -> None:
    alike = EmbeddingAgreement(Letters()).likeness(["abc, so the answer is 5", "abc, so the answer is 6", "abc abc"])
    assert alike[0][1] == 0
    assert alike[0][2] > 0.9


def test_opposite_vectors_do_not_agree() -> None:
    assert EmbeddingAgreement(Rows([[1, 0], [-1, 0]])).likeness(["x", "y"])[0] == [1, 0]


@pytest.mark.parametrize("rows", [[[1.0]], [[1.0], [float("nan")]], [[1.0], [float("inf")]], []])
def test_an_embedder_that_gives_no_vectors_is_named(rows: list[list[float]]) -> None:
    with pytest.raises(EmbedderError, match="2 finite vectors"):
        EmbeddingAgreement(Rows(rows)).likeness(["x", "y"])
