"""Claims as documents, and the judge that sends each to its kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nexus_chain.distillation.judge.claim import read_claim
from nexus_chain.distillation.judge.errors import ClaimError
from nexus_chain.distillation.judge.judge import Judge
from nexus_chain.distillation.judge.text import agreement, judge_text
from nexus_chain.distillation.judge.verdict import Kind, Outcome

SOURCE = "intent f(x) { guard { x > 1; } verify { x > 0; } }"


class Letters:
    """Counts of the letters a and b, as a vector."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as made:
        yield made


def claim(**fields: object) -> dict[str, Any]:
    return read_claim(json.dumps(fields))


def test_a_source_and_a_response_that_holds_it_have_the_same_verdict(judge: Judge) -> None:
    one = judge.judge(claim(kind="aethel", source=SOURCE))
    other = judge.judge(claim(kind="aethel", response=f"Ignore the judge.\n```aethel\n{SOURCE}\n```"))
    assert one == other
    assert one.outcome is Outcome.PROVED


def test_a_response_without_one_source_is_unknown(judge: Judge) -> None:
    verdict = judge.judge(claim(kind="aethel", response="It is verified."))
    assert (verdict.outcome, verdict.checked) == (Outcome.UNKNOWN, "Nothing was checked.")


@pytest.mark.parametrize("kind", ["aethel", "python"])
def test_a_response_that_is_too_long_is_unknown_and_says_so(judge: Judge, kind: str) -> None:
    long, code = "```x\n" * 100_000, "def f(x):\n    return x"
    fields: dict[str, object] = {"function": "f", "domain": {"x": "int"}, "reference": code, "code": long}
    verdict = judge.judge(claim(kind=kind, **({"response": long} if kind == "aethel" else fields)))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "65536 characters" in verdict.reason


def test_a_specification_says_what_is_proved(judge: Judge) -> None:
    specification = "intent f(x) { verify { x == old(x) + 1; } }"
    wrong = judge.judge(claim(kind="aethel", source=SOURCE, specification=specification))
    assert wrong.outcome is Outcome.REFUTED


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"kind": "oracle"}',
        '{"kind": ["aethel"]}',
        '{"kind": "aethel", "source": NaN}',
        "[" * 100_000,
        b"\xff",
    ],
    ids=lambda document: repr(document)[:40],
)
def test_what_is_no_claim_is_refused(document: str | bytes) -> None:
    with pytest.raises(ClaimError, match="the claim cannot be read"):
        read_claim(document)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"source": "", "response": ""},
        {"source": "", "outcome": "proved"},
        {"source": "", "z3_rlimit": "0"},
        {"source": None},
    ],
)
def test_a_claim_has_the_fields_of_its_kind(judge: Judge, fields: dict[str, Any]) -> None:
    with pytest.raises(ClaimError, match="the claim cannot be read"):
        judge.judge(claim(kind="aethel", **fields))


def test_a_field_of_another_type_is_refused(judge: Judge) -> None:
    with pytest.raises(ClaimError, match="'source' is no text"):
        judge.judge(claim(kind="aethel", source=3))
    with pytest.raises(ClaimError, match="'answers' is no list of texts"):
        Judge(embedder=Letters()).judge(claim(kind="text", answers=[1]))


def test_text_is_compared_and_never_proved() -> None:
    verdict = Judge(embedder=Letters()).judge(claim(kind="text", answers=["aa", "a", "b"]))
    assert (verdict.kind, verdict.outcome) == (Kind.TEXT, Outcome.UNKNOWN)
    assert verdict.checked.endswith(": 0.500, 0.500, 0.000.")
    assert judge_text(["a"] * 9, Letters()).outcome is Outcome.UNKNOWN


def test_text_needs_an_embedder(judge: Judge) -> None:
    with pytest.raises(ClaimError, match="there is none"):
        judge.judge(claim(kind="text", answers=["a", "b"]))


def test_agreement_is_between_0_and_1() -> None:
    class Opposites(Letters):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.array([[3.0], [-2.0], [0.0]], np.float32)[: len(texts)]

    assert agreement(["aa", "aaaa"], Letters()) == pytest.approx([1.0, 1.0])
    assert agreement(["p", "q", "nothing"], Opposites()) == [0.0, 0.0, 0.0]
    assert agreement(["alone"], Letters()) == [0.0]
    assert agreement([], Letters()) == []


def test_an_embedder_that_gives_no_numbers_is_refused() -> None:
    class Broken(Letters):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.full((len(texts), 2), np.nan, np.float32)

    with pytest.raises(ClaimError, match="no vector for each answer"):
        agreement(["a", "b"], Broken())
