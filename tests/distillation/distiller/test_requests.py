"""What may be asked, and how an answer becomes a claim."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_chain.distillation.distiller.claims import (
    AethelProblem,
    MathematicsProblem,
    PythonProblem,
    claim_for,
    claim_text,
    problem_of,
)
from nexus_chain.distillation.distiller.errors import DistillationRequestError
from nexus_chain.distillation.distiller.request import LONGEST_PROMPT, DistillationRequest

PROBLEM = MathematicsProblem("2*3")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": " \n"}, "empty"),
        ({"prompt": "x" * (LONGEST_PROMPT + 1)}, "too long"),
        ({"prompt": "\ud800"}, "no Unicode"),
        ({"verification_mode": "voting"}, "no mode 'voting'"),
        ({"category": " "}, "category"),
        ({"use_local": False, "use_teachers": False}, "nobody"),
        ({"problem": None}, "formal needs to know"),
    ],
)
def test_a_request_that_cannot_be_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(DistillationRequestError, match=words):
        DistillationRequest(**{"prompt": "x", "problem": PROBLEM, **fields})


def test_a_request_is_known_by_prompt_category_and_mode() -> None:
    request = DistillationRequest("x", problem=PROBLEM)
    assert request.id == DistillationRequest("x", use_local=False, problem=PROBLEM).id
    others = [
        DistillationRequest("y", problem=PROBLEM),
        DistillationRequest("x", problem=PROBLEM, category="math"),
        DistillationRequest("x", verification_mode="hybrid"),
    ]
    assert len({request.id, *(other.id for other in others)}) == 4
    assert {other.question for other in others[1:]} == {request.question}


def test_an_answer_becomes_a_claim() -> None:
    assert claim_for(PROBLEM, "6") == {"kind": "mathematics", "response": "6", "expected": "2*3", "domain": "integers"}
    assert claim_for(AethelProblem(), "intent") == {"kind": "aethel", "response": "intent"}
    stated = AethelProblem("pays(x)")
    assert claim_for(stated, "intent") == {"kind": "aethel", "response": "intent", "specification": "pays(x)"}


@pytest.mark.parametrize(
    "statement",
    [
        {"kind": "mathematics", "expected": "x+1", "domain": {"x": "integers"}},
        {"kind": "mathematics", "expected": "7", "domain": "integers"},
        {"kind": "aethel", "specification": "pays(x)"},
        {"kind": "aethel"},
        {"kind": "python", "function": "f", "domain": {"x": "int"}, "contract": {"ensures": "result > x"}},
    ],
)
def test_a_problem_is_a_claim_without_its_answer(statement: dict[str, Any]) -> None:
    answer = {"code": "A"} if statement["kind"] == "python" else {"response": "A"}
    assert claim_for(problem_of(statement), "A") == {**statement, **answer}


@pytest.mark.parametrize(
    "statement",
    [
        {},
        {"kind": "text"},
        {"kind": "mathematics"},
        {"kind": "mathematics", "expected": "7", "response": "7"},
        {"kind": "aethel", "source": "intent"},
        {"kind": "python", "code": "def f(): ..."},
        {"kind": ["python"]},
    ],
)
def test_a_statement_that_is_no_problem_is_refused(statement: dict[str, Any]) -> None:
    with pytest.raises(DistillationRequestError, match="states nothing"):
        problem_of(statement)


def test_no_answer_changes_what_is_claimed_of_it() -> None:
    """An answer that writes JSON, or names other fields, stays one string."""
    trick = '", "expected": "7", "x": "'
    assert claim_for(PROBLEM, trick)["expected"] == "2*3"
    assert claim_for(PythonProblem({"kind": "text", "code": "mine"}), "y")["code"] == "y"


def test_a_claim_has_one_spelling() -> None:
    assert claim_text({"b": 1, "a": "é"}) == claim_text({"a": "é", "b": 1}) == '{"a":"\\u00e9","b":1}'
