"""How an answer becomes a claim that the judge decides.

A problem knows what a right answer has to satisfy, and never the answer's author. The claim holds the answer as
text: nothing in it is an instruction to anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

ClaimDocument = Mapping[str, Any]
"""A claim as plain JSON values; ``kind`` is one of the judge's kinds."""
_FENCED = re.compile(r"^```[^\n`]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Problem(Protocol):
    """What makes an answer right."""

    def claim(self, answer: str) -> ClaimDocument:
        """The claim that ``answer`` solves this problem."""


@dataclass(frozen=True)
class MathematicsProblem:
    """``expected_expression``: what the answer has to equal. ``domain``: over which, as the judge names it."""

    expected_expression: str
    domain: str = "integers"

    def claim(self, answer: str) -> ClaimDocument:
        """The answer and the expected expression agree over the domain."""
        return {
            "kind": "mathematics",
            "response": answer,
            "expected": self.expected_expression,
            "domain": self.domain,
        }


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
    """The answer defines ``function``. ``statement``: the claim's other fields, such as ``contract``."""

    function: str
    statement: Mapping[str, Any]

    def claim(self, answer: str) -> ClaimDocument:
        """The function in the answer's one fenced block, or in the whole answer where there is none, is as stated."""
        blocks = _FENCED.findall(answer)
        code = blocks[0] if len(blocks) == 1 else answer
        return {**self.statement, "kind": "python", "code": code, "function": self.function}


def claim_for(problem: Problem, answer_text: str) -> ClaimDocument:
    """The claim that ``answer_text`` solves ``problem``."""
    return problem.claim(answer_text)


def claim_text(claim: ClaimDocument) -> str:
    """The one spelling of a claim, by which it is known again: JSON with sorted keys and no spaces."""
    return json.dumps(claim, sort_keys=True, separators=(",", ":"))
