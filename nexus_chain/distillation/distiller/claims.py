"""How an answer becomes a claim that the judge decides.

A problem knows what a right answer has to satisfy, and never the answer's author. The claim holds the answer as
text: nothing in it is an instruction to anybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nexus_chain.distillation.distiller.errors import DistillationRequestError

ClaimDocument = Mapping[str, Any]
"""A claim as plain JSON values; ``kind`` is one of the judge's kinds."""


class ProvableProblem(Protocol):
    """What makes an answer right."""

    def claim(self, answer: str) -> ClaimDocument:
        """The claim that ``answer`` solves this problem."""


@dataclass(frozen=True)
class MathematicsProblem:
    """``expected_expression``: what the answer has to equal. ``domain``: over which, as the judge names it."""

    expected_expression: str
    domain: str | Mapping[str, str] = "integers"

    def claim(self, answer: str) -> ClaimDocument:
        """The answer and the expected expression agree over the domain."""
        return {"kind": "mathematics", "response": answer, "expected": self.expected_expression, "domain": self.domain}


@dataclass(frozen=True)
class AethelProblem:
    """The answer is an Aethel program. ``specification``: what it has to do.

    None: only the program's own obligations are judged, and a program that does nothing has none.
    """

    specification: str | None = None

    def claim(self, answer: str) -> ClaimDocument:
        """The program in the answer does what the specification says."""
        wanted = {} if self.specification is None else {"specification": self.specification}
        return {"kind": "aethel", "response": answer, **wanted}


@dataclass(frozen=True)
class PythonProblem:
    """The answer defines a function. ``statement``: the claim's other fields: function, domain, contract, …"""

    statement: Mapping[str, Any]

    def claim(self, answer: str) -> ClaimDocument:
        """The function in the answer is as stated."""
        return {**self.statement, "kind": "python", "code": answer}


def problem_of(statement: Mapping[str, Any]) -> ProvableProblem:
    """The problem of a claim's document without its answer. Raises DistillationRequestError.

    ``{"kind": "mathematics", "expected": …, "domain": …}``, ``{"kind": "aethel", "specification": …}``,
    ``{"kind": "python", "function": …, "domain": …, "contract": …}``
    """
    fields = {name: value for name, value in statement.items() if name != "kind"}
    try:
        if statement.get("kind") == "mathematics":
            return MathematicsProblem(fields.pop("expected"), **fields)
        if statement.get("kind") == "aethel":
            return AethelProblem(**fields)
        if statement.get("kind") == "python" and "code" not in fields:
            return PythonProblem(fields)
    except (KeyError, TypeError):
        pass
    raise DistillationRequestError(
        "the problem states nothing that the judge decides",
        advice="Write a claim of kind mathematics, aethel or python, and leave out the answer.",
    )


def claim_for(problem: ProvableProblem, answer_text: str) -> ClaimDocument:
    """The claim that ``answer_text`` solves ``problem``."""
    return problem.claim(answer_text)


def claim_text(claim: ClaimDocument) -> str:
    """The one spelling of a claim, by which it is known again: JSON with sorted keys and no spaces."""
    return json.dumps(claim, sort_keys=True, separators=(",", ":"))
