"""The verdict over a claim about Python.

First the examples, which only refute. Then the proof: the code is translated, and both solvers are asked. A model of
theirs is run in the sandbox before it is called a counterexample. Where the translation or the solvers give up, a
finite domain is enumerated, and of an infinite one some points are tried, which again only refute.
"""

from __future__ import annotations

from nexus_chain.distillation.judge.python.claim import PythonClaim, values_text
from nexus_chain.distillation.judge.python.comparison import Comparer, Difference
from nexus_chain.distillation.judge.python.domain import (
    ListDomain,
    PythonDomain,
    ScalarDomain,
    count_points,
    domain_points,
    sample_points,
)
from nexus_chain.distillation.judge.python.errors import OutsideSubsetError, PythonClaimError
from nexus_chain.distillation.judge.python.obligations import Obligations, write_obligations
from nexus_chain.distillation.judge.python.purity import require_parameters, require_pure, require_pure_expression
from nexus_chain.distillation.judge.python.source import extract_code, parse_expression, parse_source
from nexus_chain.distillation.judge.sandbox.sandbox import Sandbox
from nexus_chain.distillation.judge.solvers import SolverAnswer, Solvers
from nexus_chain.distillation.judge.verdict import Artefact, Enumeration, Kind, Outcome, Verdict

LARGEST_TABLE = 20_000
"""Points of a domain that are enumerated."""
SAMPLES = 200
"""Points that are tried of a domain that is too large for a table."""


def judge_python(claim: PythonClaim, solvers: Solvers, sandbox: Sandbox | None = None) -> Verdict:
    """The verdict. Raises PythonClaimError for a malformed reference or contract.

    Raises SandboxUnavailableError where code has to run and cannot be confined; a proof needs none to run.
    """
    return _Judge(claim, solvers, sandbox or Sandbox()).verdict()


class _Judge:
    def __init__(self, claim: PythonClaim, solvers: Solvers, sandbox: Sandbox) -> None:
        self._claim, self._solvers, self._sandbox = claim, solvers, sandbox

    def verdict(self) -> Verdict:
        self._require_readable()
        try:
            code = extract_code(self._claim.code)
            parse_source(code)
        except OutsideSubsetError as error:
            return self._unknown(f"{error}.")
        comparer = Comparer(self._claim, code, self._sandbox)
        difference = comparer.examples()
        if difference is not None:
            return self._refuted(difference)
        if self._claim.reference is None and self._claim.contract is None:
            return self._unknown("Examples can refute, and these do not; they prove nothing about other inputs.")
        try:
            answer = self._by_proof(write_obligations(self._claim, code), comparer)
        except OutsideSubsetError as error:
            answer = f"outside of the subset that is translated: {error}."
        return answer if isinstance(answer, Verdict) else self._by_running(code, comparer, answer)

    def _require_readable(self) -> None:
        """The claim's own parts must be readable, and a contract pure; only the code may be anything."""
        claim = self._claim
        try:
            if claim.reference is not None:
                parse_source(claim.reference)
            if claim.contract is not None:
                require_pure_expression(parse_expression(claim.contract.requires), claim.parameters)
                require_pure_expression(parse_expression(claim.contract.ensures), (*claim.parameters, "result"))
        except OutsideSubsetError as error:
            raise PythonClaimError(
                f"the reference or the contract cannot be read: {error}", advice="Correct the claim."
            ) from error

    def _by_proof(self, obligations: Obligations, comparer: Comparer) -> Verdict | str:
        """A verdict, or why the solvers lead to none."""
        if obligations.requirement is not None:
            requirement = self._solvers.solve(obligations.requirement.text)
            if requirement.answer is SolverAnswer.UNSAT:
                return self._vacuous()
            if requirement.answer is not SolverAnswer.SAT:
                return f"It is not known whether any input is required to work. {requirement.reason}".strip()
        for artefact in obligations.supporting:
            if artefact.name != "unwinding" and self._solvers.solve(artefact.text).answer is not SolverAnswer.UNSAT:
                return f"The obligation '{artefact.name}' is not proved."
        claimed = self._solvers.solve(obligations.claimed.text)
        if SolverAnswer.SAT in (claimed.z3, claimed.cvc5):
            point = obligations.inputs.read(self._claim.domain, claimed.model)
            difference = comparer.compare([point]).difference
            if difference is not None:
                return self._refuted(difference)
            return f"The solvers' counterexample {values_text(point)} is none when it is run."
        if claimed.answer is not SolverAnswer.UNSAT:
            return claimed.reason
        for artefact in obligations.supporting:
            if artefact.name == "unwinding" and self._solvers.solve(artefact.text).answer is not SolverAnswer.UNSAT:
                return "A loop may have more rounds than are unrolled."
        return self._proved((obligations.claimed, *obligations.supporting))

    def _by_running(self, code: str, comparer: Comparer, reason: str) -> Verdict:
        """``reason``: why there is no proof by the solvers."""
        count = count_points(self._claim.domain)
        if count is None or count > LARGEST_TABLE:
            comparison = comparer.compare(sample_points(self._claim.domain, SAMPLES))
            if comparison.difference is not None:
                return self._refuted(comparison.difference)
            return self._unknown(f"{reason} {comparison.problem or f'It holds for {SAMPLES} inputs that were tried.'}")
        comparison = comparer.compare(domain_points(self._claim.domain))
        if comparison.difference is not None:
            return self._refuted(comparison.difference)
        if comparison.problem:
            return self._unknown(f"{reason} {comparison.problem}")
        try:
            self._require_pure(code)
        except OutsideSubsetError as error:
            return self._unknown(
                f"{reason} Every input was tried, but the code may depend on more than these: {error}."
            )
        if comparison.compared == 0:
            return self._vacuous()
        table = Enumeration("exhaustion", self._domain_text(), comparison.compared, comparison.sha256)
        return Verdict(
            *(Kind.PYTHON, Outcome.PROVED, self._checked()),
            f"Proved by exhaustion over {comparison.compared} points.",
            enumerations=(table,),
        )

    def _require_pure(self, code: str) -> None:
        module = parse_source(code)
        require_pure(module)
        require_parameters(module, self._claim.function, self._claim.parameters)
        if self._claim.reference is not None:
            require_pure(parse_source(self._claim.reference))

    # --- verdicts ---

    def _checked(self) -> str:
        claim = self._claim
        call = f"{claim.function}({', '.join(claim.parameters)})"
        if claim.contract is not None:
            requires, ensures = (" ".join(text.split()) for text in (claim.contract.requires, claim.contract.ensures))
            what = f"Where {requires}, {call} raises nothing and its result satisfies {ensures}"
        elif claim.reference is not None:
            what = f"{call} returns the reference's value, of its type, and leaves the same lists, or raises the same"
        else:
            what = f"{call} fulfils {len(claim.examples)} examples"
        return f"{what}, for {self._domain_text() or 'its only input'}."

    def _domain_text(self) -> str:
        return ", ".join(f"{name} in {_domain_text(kind)}" for name, kind in self._claim.domain.items())

    def _proved(self, artefacts: tuple[Artefact, ...]) -> Verdict:
        reason = "Z3 and cvc5 find every obligation unsatisfiable."
        return Verdict(Kind.PYTHON, Outcome.PROVED, self._checked(), reason, artefacts=artefacts)

    def _refuted(self, difference: Difference) -> Verdict:
        inputs = {name: repr(value) for name, value in zip(self._claim.parameters, difference.point, strict=True)}
        reason = f"For {values_text(difference.point) or 'its only input'} it gives {difference.actual}; "
        reason += f"{difference.expected}." if " " in difference.expected else f"right is {difference.expected}."
        counterexample = {**inputs, "result": difference.actual}
        return Verdict(Kind.PYTHON, Outcome.REFUTED, self._checked(), reason, counterexample)

    def _unknown(self, reason: str) -> Verdict:
        sentence = reason[:1].upper() + reason[1:]
        return Verdict(Kind.PYTHON, Outcome.UNKNOWN, self._checked(), sentence)

    def _vacuous(self) -> Verdict:
        reason = "No input of the domain fulfils what the contract requires, so it says nothing."
        return Verdict(Kind.PYTHON, Outcome.UNKNOWN, self._checked(), reason, vacuous=True)


def _domain_text(kind: PythonDomain) -> str:
    if isinstance(kind, ListDomain):
        return f"list[{_domain_text(kind.item)},{kind.shortest}..{kind.longest}]"
    assert isinstance(kind, ScalarDomain)  # noqa: S101
    if kind.is_bool:
        return "bool"
    return "int" if kind.low is None else f"int[{kind.low}..{kind.high}]"
