"""What has to be unsatisfiable for a claim to hold, as SMT-LIB texts."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from nexus_chain.distillation.judge.errors import ArtefactError
from nexus_chain.distillation.judge.python.calls import Calls
from nexus_chain.distillation.judge.python.claim import PythonClaim, PythonContract
from nexus_chain.distillation.judge.python.domain import SymbolicInputs, symbolic_inputs
from nexus_chain.distillation.judge.python.errors import OutsideSubsetError
from nexus_chain.distillation.judge.python.functions import FunctionReader, SymbolicOutcome
from nexus_chain.distillation.judge.python.smt_printing import obligation_text
from nexus_chain.distillation.judge.python.source import find_function, parse_expression, parse_source
from nexus_chain.distillation.judge.python.state import State
from nexus_chain.distillation.judge.python.terms import Term, TermBank
from nexus_chain.distillation.judge.smt_text import require_artefact
from nexus_chain.distillation.judge.verdict import Artefact


@dataclass(frozen=True)
class Obligations:
    """``claimed``: unsatisfiable if no input breaks the claim; its models are counterexamples.

    ``supporting``: what the translation itself relies on: loops end within the rounds that were unrolled, and
    ``requires`` raises nothing. ``requirement``: satisfiable unless the claim is vacuous; None where there is none.
    """

    inputs: SymbolicInputs
    claimed: Artefact
    supporting: tuple[Artefact, ...]
    requirement: Artefact | None


def write_obligations(claim: PythonClaim, code: str) -> Obligations:
    """Raises OutsideSubsetError for what cannot be translated."""
    try:
        obligations = _Writer(claim, code).write()
        for artefact in (obligations.claimed, *obligations.supporting):
            require_artefact(artefact.text)
    except ArtefactError as error:
        raise OutsideSubsetError("the obligation's text is too large") from error
    return obligations


class _Writer:
    def __init__(self, claim: PythonClaim, code: str) -> None:
        self._claim, self._code = claim, code
        self._bank = TermBank()
        self._inputs = symbolic_inputs(self._bank, claim.domain)

    def write(self) -> Obligations:
        if self._claim.contract is not None:
            return self._for_contract(self._claim.contract)
        if self._claim.reference is not None:
            return self._for_reference(self._claim.reference)
        raise OutsideSubsetError("examples alone are no claim about all inputs")

    def _outcome(self, code: str) -> SymbolicOutcome:
        function = find_function(parse_source(code), self._claim.function, self._claim.parameters)
        return FunctionReader(self._bank, self._start()).outcome(function)

    def _start(self) -> State:
        return State(self._bank.true, dict(self._inputs.values), dict(self._inputs.heap))

    def _artefact(self, name: str, *assertions: Term) -> Artefact:
        """The comment binds the text to the sources that it was made of."""
        claim, contract = self._claim, self._claim.contract
        other = claim.reference if contract is None else f"{contract.requires}\0{contract.ensures}"
        hashes = [sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in (self._code, other or "")]
        kind = "contract" if contract else "reference"
        comment = f"python {claim.function}, {name}: code {hashes[0]}, {kind} {hashes[1]}"
        return Artefact(name, obligation_text(comment, self._inputs.variables, assertions))

    def _supporting(self, name: str, *assertions: Term) -> tuple[Artefact, ...]:
        is_settled = any(assertion is self._bank.false for assertion in assertions)
        return () if is_settled else (self._artefact(name, *assertions),)

    def _for_reference(self, reference: str) -> Obligations:
        bank = self._bank
        try:
            expected = self._outcome(reference)
        except OutsideSubsetError as error:
            raise OutsideSubsetError(f"in the reference: {error}") from error
        actual = self._outcome(self._code)
        unfinished = bank.any_of(actual.unfinished, expected.unfinished)
        differs = bank.negate(self._same(actual, expected))
        return Obligations(
            self._inputs,
            self._artefact("equivalence", bank.negate(unfinished), differs),
            self._supporting("unwinding", unfinished),
            None,
        )

    def _same(self, actual: SymbolicOutcome, expected: SymbolicOutcome) -> Term:
        """Both raise one exception, or return equal values of one type and leave the caller's lists alike."""
        bank = self._bank
        algebra = FunctionReader(bank, self._start()).algebra
        cases = [
            bank.all_of(actual.raises[name], expected.raises[name])
            for name in sorted(actual.raises.keys() & expected.raises.keys())
        ]
        conditions = [actual.returns, expected.returns]
        heaps = actual.heap, expected.heap
        conditions.append(algebra.equal(actual.value, expected.value, *heaps, same_type=True))
        for reference in self._inputs.heap:
            pair = actual.heap.get(reference), expected.heap.get(reference)
            if pair[0] is not None and pair[1] is not None:
                conditions.append(algebra.equal_lists(pair[0], pair[1], *heaps, same_type=True))
        return bank.any_of(*cases, bank.all_of(*conditions))

    def _for_contract(self, contract: PythonContract) -> Obligations:
        bank = self._bank
        requires = Calls(bank, self._start())
        required = self._truth(requires, contract.requires, "requires")
        required = bank.all_of(requires.state.live, required)
        outcome = self._outcome(self._code)
        ensures = self._after(outcome)
        holds = bank.all_of(self._truth(ensures, contract.ensures, "ensures"), ensures.state.live)
        unfinished = bank.any_of(outcome.unfinished, ensures.unfinished)
        return Obligations(
            self._inputs,
            self._artefact("contract", required, bank.negate(unfinished), bank.negate(holds)),
            (
                *self._supporting("unwinding", required, unfinished),
                *self._supporting("requires raises nothing", bank.negate(requires.state.live)),
            ),
            None if required is bank.true else self._artefact("requires", required),
        )

    def _after(self, outcome: SymbolicOutcome) -> Calls:
        """Where ``ensures`` is evaluated: the result as the call left it, the parameters as they were before."""
        calls = Calls(self._bank, State(outcome.returns, dict(self._inputs.values), dict(outcome.heap)))
        for name, value in self._inputs.values.items():
            for tag in value:
                if tag.name == "list":
                    calls.state.names[name] = calls.new_list(self._inputs.heap[tag.reference], 1)
        calls.state.names["result"] = outcome.value
        return calls

    def _truth(self, calls: Calls, expression: str, field: str) -> Term:
        try:
            return calls.truth(calls.evaluate(parse_expression(expression)))
        except OutsideSubsetError as error:
            raise OutsideSubsetError(f"in {field}: {error}") from error
