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
    ("answer", "code"),
    [
        ("def f(x): ...", "def f(x): ..."),
        ("Here:\n```python\ndef f(x): ...\n```\nDone.", "def f(x): ...\n"),
        ("```\na\n```\nor\n```\nb\n```", "```\na\n```\nor\n```\nb\n```"),
        ("```python\nunclosed", "```python\nunclosed"),
    ],
)
def test_code_is_taken_out_of_its_block(answer: str, code: str) -> None:
    """Where there are two, nobody can tell which is meant: the judge gets all of it, and cannot read it."""
    claim = claim_for(PythonProblem("f", {"contract": "result > x"}), answer)
    assert claim == {"kind": "python", "code": code, "function": "f", "contract": "result > x"}


def test_no_answer_changes_what_is_claimed_of_it() -> None:
    """An answer that writes JSON, or names other fields, stays one string."""
    trick = '", "expected": "7", "x": "'
    assert claim_for(PROBLEM, trick)["expected"] == "2*3"
    assert claim_for(PythonProblem("f", {"kind": "text", "code": "mine"}), "y")["code"] == "y"


def test_a_claim_has_one_spelling() -> None:
    assert claim_text({"b": 1, "a": "é"}) == claim_text({"a": "é", "b": 1}) == '{"a":"\\u00e9","b":1}'
