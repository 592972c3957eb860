"""How an answer becomes a claim that the judge decides.

A problem knows what a right answer has to satisfy, and never the answer's author. The claim holds the answer as
text: nothing in it is an instruction to anybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Claim = Mapping[str, Any]
"""Plain JSON values; ``kind`` is one of the judge's kinds."""


class Problem(Protocol):
    """What makes an answer right."""

    def claim(self, answer: str) -> Claim:
        """The claim that ``answer`` solves this problem."""


@dataclass(frozen=True)
class MathematicsProblem:
    """``expected_expression``: what the answer has to equal. ``domain``: over which, as the judge names it."""

    expected_expression: str
    domain: str = "integers"

    def claim(self, answer: str) -> Claim:
        """The answer and the expected expression agree over the domain."""
        return {
            "kind": "mathematics",
            "response": answer,
            "expected": self.expected_expression,
            "domain": self.domain,
        }


@dataclass(frozen=True)
class AethelProblem:
    """The answer is a program whose guards and solve have to imply its verify."""

    def claim(self, answer: str) -> Claim:
        """The program's own obligations hold."""
        return {"kind": "aethel", "source": answer}


@dataclass(frozen=True)
class StatedProblem:
    """``statement``: the other fields of a claim of ``kind``. ``answer_field``: the field that takes the answer.

    For kinds whose claims have more to say, such as a contract that a Python function has to meet.
    """

    kind: str
    statement: Mapping[str, Any]
    answer_field: str = "response"

    def claim(self, answer: str) -> Claim:
        """The statement with the answer in it."""
        return {**self.statement, "kind": self.kind, self.answer_field: answer}


def claim_for(problem: Problem, answer_text: str) -> Claim:
    """The claim that ``answer_text`` solves ``problem``."""
    return problem.claim(answer_text)


def claim_text(claim: Claim) -> str:
    """The one spelling of a claim, by which it is known again: JSON with sorted keys and no spaces."""
    return json.dumps(claim, sort_keys=True, separators=(",", ":"))
