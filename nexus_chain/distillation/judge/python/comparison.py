"""Run a claim's code on given inputs, and compare what it says with what the reference or the contract says.

The code under test has a child of its own; what it is compared to has another. It learns the inputs and nothing else.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from nexus_chain.distillation.judge.python.claim import PythonClaim, PythonContract, values_text
from nexus_chain.distillation.judge.python.domain import Input
from nexus_chain.distillation.judge.python.errors import OutsideSubsetError, PythonClaimError
from nexus_chain.distillation.judge.python.source import parse_expression
from nexus_chain.distillation.judge.sandbox.sandbox import (
    Argument,
    CallOutcome,
    Sandbox,
    SandboxEnding,
    SandboxRequest,
)

Point = tuple[Input, ...]
_LONGEST_RESULT = 100_000  # characters of a result that a contract is asked about
_LONGEST_SHOWN = 200


@dataclass(frozen=True)
class Difference:
    """At ``point`` the code gave ``actual``, and that is wrong; ``expected``: what the reference or contract says."""

    point: Point
    actual: str
    expected: str


@dataclass(frozen=True)
class PointComparison:
    """``difference``: the first one found. ``problem``: why not every point was compared; empty if all were.

    ``compared``: points at which something is claimed. ``sha256``: of the table of inputs and results.
    """

    difference: Difference | None
    problem: str
    compared: int
    sha256: str


class Comparer:
    """Compares one claim's ``code``, in the sandbox."""

    def __init__(self, claim: PythonClaim, code: str, sandbox: Sandbox) -> None:
        self._claim, self._code, self._sandbox = claim, code, sandbox

    def compare(self, points: Sequence[Point]) -> PointComparison:
        """Raises PythonClaimError where the reference or the contract cannot be run at all."""
        if self._claim.contract is not None:
            return self._with_contract(self._claim.contract, tuple(points))
        return self._with_reference(self._claim.reference or "", tuple(points))

    def examples(self) -> Difference | None:
        """The first example that the code does not fulfil."""
        examples = self._claim.examples
        outcomes, _ = self._run(self._code, [example.arguments for example in examples])
        for example, outcome in zip(examples, outcomes, strict=False):
            if outcome.is_exact and outcome.value != repr(example.result):
                return Difference(example.arguments, _short(outcome.value), f"the example says {example.result!r}")
        return None

    def _run(
        self, code: str, points: Sequence[tuple[Argument, ...]], function: str = ""
    ) -> tuple[list[CallOutcome], str]:
        """The outcomes of the first points, and why there are no more."""
        if not points:
            return [], ""
        request = SandboxRequest(code, function or self._claim.function, tuple(points))
        result = self._sandbox.run(request)
        return list(result.outcomes), "" if result.ending is SandboxEnding.FINISHED else result.reason

    def _with_reference(self, reference: str, points: tuple[Point, ...]) -> PointComparison:
        expected, missing = self._run(reference, points)
        if missing and not expected:
            raise PythonClaimError(f"the reference cannot be run: {missing}", advice="Give a reference that returns.")
        actual, problem = self._run(self._code, points)
        for point, one, other in zip(points, actual, expected, strict=False):
            if not (one.is_exact and other.is_exact):
                problem = problem or f"The results for {values_text(point)} cannot be compared."
            elif one != other:
                return _found(Difference(point, _shown(one, other), _shown(other, one)))
        return PointComparison(None, problem or missing, len(points), _table(points, actual))

    def _with_contract(self, contract: PythonContract, points: tuple[Point, ...]) -> PointComparison:
        required, missing = self._run(self._contract_code(contract), points, "requires")
        if missing and not required:
            raise PythonClaimError(f"the contract cannot be run: {missing}", advice="Correct its expressions.")
        if any(outcome.value not in ("True", "False") for outcome in required):
            missing = "The contract's requires raises an exception."
        claimed = [point for point, outcome in zip(points, required, strict=False) if outcome.value == "True"]
        actual, problem = self._run(self._code, claimed)
        for point, outcome in zip(claimed, actual, strict=False):
            if outcome.is_exact and outcome.value.startswith("raise "):
                return _found(Difference(point, _short(outcome.value), "the contract wants a result"))
        results = [_literal(outcome) for outcome in actual]
        checked = [(point, result) for point, result in zip(claimed, results, strict=False) if result is not None]
        if len(checked) < len(actual):
            problem = problem or "Some results are no integers, booleans, lists or texts."
        inputs = [(*point, *result) for point, result in checked]
        ensured, failure = self._run(self._contract_code(contract), inputs, "ensures")
        for (point, result), outcome in zip(checked, ensured, strict=False):
            if outcome.is_exact and outcome.value != "True":
                return _found(
                    Difference(
                        point, _short(repr(result[0])), f"the contract wants {' '.join(contract.ensures.split())}"
                    )
                )
            problem = problem if outcome.is_exact else problem or "The contract cannot be evaluated everywhere."
        return PointComparison(None, problem or missing or failure, len(claimed), _table(claimed, actual))

    def _contract_code(self, contract: PythonContract) -> str:
        names = ", ".join(self._claim.parameters)
        try:
            requires, ensures = (ast.unparse(parse_expression(t)) for t in (contract.requires, contract.ensures))
        except OutsideSubsetError as error:
            raise PythonClaimError(f"the contract cannot be read: {error}", advice="Write expressions.") from error
        separator = ", " if names else ""
        return (
            f"def requires({names}):\n    return not not ({requires})\n"
            f"def ensures({names}{separator}result):\n    return not not ({ensures})\n"
        )


def _found(difference: Difference) -> PointComparison:
    return PointComparison(difference, "", 0, "")


def _shown(outcome: CallOutcome, other: CallOutcome) -> str:
    """The value; where that is no difference, with the lists that the call left behind."""
    if outcome.value != other.value:
        return _short(outcome.value)
    return _short(f"{outcome.value}, leaving its arguments {outcome.arguments}")


def _short(text: str) -> str:
    """It is the code's own text, and may be long."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _literal(outcome: CallOutcome) -> tuple[Argument] | None:
    """The value that a text means, in a tuple; None for a text that means none."""
    if not outcome.is_exact or len(outcome.value) > _LONGEST_RESULT:
        return None
    try:
        value: Argument = ast.literal_eval(outcome.value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return None if isinstance(value, float | complex | bytes) else (value,)


def _table(points: Sequence[Point], outcomes: Sequence[CallOutcome]) -> str:
    lines = [f"{values_text(p)}\t{outcome.value}\n" for p, outcome in zip(points, outcomes, strict=False)]
    return sha256("".join(lines).encode()).hexdigest()
