"""The translation means what Python does: random functions, executed and evaluated, agree on every input."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.distillation.judge.python.domain import (
    Input,
    domain_points,
    parse_domain,
    sample_points,
    symbolic_inputs,
)
from nexus_chain.distillation.judge.python.errors import OutsideSubsetError
from nexus_chain.distillation.judge.python.functions import FunctionReader, SymbolicOutcome
from nexus_chain.distillation.judge.python.smt_printing import obligation_text
from nexus_chain.distillation.judge.python.state import State
from nexus_chain.distillation.judge.python.terms import Sort, Term, TermBank, evaluate_term
from nexus_chain.distillation.judge.python.values import Heap, Value
from nexus_chain.distillation.judge.solvers import SolverAnswer, Solvers
from tests.support.random_python import DOMAIN, INPUTS, functions, really

SMALL = {name: parse_domain(text) for name, text in DOMAIN.items()}


@pytest.fixture(scope="module")
def solvers() -> Iterator[Solvers]:
    with Solvers() as both:
        yield both


def translate(code: str, bank: TermBank | None = None) -> SymbolicOutcome:
    bank = bank or TermBank()
    inputs = symbolic_inputs(bank, SMALL)
    function = ast.parse(code).body[0]
    assert isinstance(function, ast.FunctionDef)
    return FunctionReader(bank, State(bank.true, dict(inputs.values), dict(inputs.heap))).outcome(function)


def variables_of(arguments: tuple[int, int, bool, list[int]]) -> dict[str, int | bool]:
    x, y, flag, xs = arguments
    items = {f"in_xs_{index}": value for index, value in enumerate([*xs, *[0] * 3][:3])}
    return {"in_x": x, "in_y": y, "in_flag": flag, "in_xs_length": len(xs), **items}


def shown(value: Value, heap: Heap, variables: Mapping[str, int | bool]) -> str:
    holding = [tag for tag, one in value.items() if evaluate_term(one.guard, variables)]
    (tag,) = holding
    term = value[tag].term
    if tag.name == "list":
        content = heap[tag.reference]
        length = evaluate_term(content.length, variables)
        return f"[{', '.join(shown(item, heap, variables) for item in content.items[:length])}]"
    return "None" if term is None else repr(evaluate_term(term, variables))


def meant(outcome: SymbolicOutcome, variables: Mapping[str, int | bool]) -> str | None:
    """What the translation says the function does; None where it gave up."""
    holds = [name for name, term in outcome.raises.items() if evaluate_term(term, variables)]
    holds += ["returns"] * bool(evaluate_term(outcome.returns, variables))
    holds += ["gives up"] * bool(evaluate_term(outcome.unfinished, variables))
    (one,) = holds  # exactly one thing happens
    if one == "returns":
        list_parameter = {reference: None for reference in outcome.heap if reference == 1}
        assert list_parameter
        argument = outcome.heap[1]
        length = evaluate_term(argument.length, variables)
        items = ", ".join(shown(item, outcome.heap, variables) for item in argument.items[:length])
        return f"{shown(outcome.value, outcome.heap, variables)}; [{items}]"
    return None if one == "gives up" else one


@settings(max_examples=300)
@given(code=functions(), arguments=st.lists(INPUTS, min_size=3, max_size=6))
def test_the_translation_does_what_python_does(code: str, arguments: list[tuple[int, int, bool, list[int]]]) -> None:
    try:
        outcome = translate(code)
    except OutsideSubsetError:
        return
    for values in arguments:
        said = meant(outcome, variables_of(values))
        assert said is None or said == really(code, values), (code, values)


def test_most_random_functions_are_translated() -> None:
    """Else the property above would say little."""
    counts: Counter[str] = Counter()

    @settings(max_examples=60, database=None, derandomize=True)
    @given(code=functions())
    def count(code: str) -> None:
        try:
            translate(code)
            counts["translated"] += 1
        except OutsideSubsetError as error:
            counts[error.construct] += 1

    count()
    assert counts["translated"] > 0.5 * sum(counts.values()), counts


@settings(max_examples=25)
@given(code=functions(), values=INPUTS)
def test_the_solvers_read_the_terms_as_we_do(
    solvers: Solvers, code: str, values: tuple[int, int, bool, list[int]]
) -> None:
    """With every variable fixed, both solvers find that what our evaluation says is all that is possible."""
    bank = TermBank()
    try:
        outcome = translate(code, bank)
    except OutsideSubsetError:
        return
    known = variables_of(values)
    inputs = symbolic_inputs(bank, SMALL)
    fixed = [
        bank.equal(variable, bank.boolean(value) if isinstance(value, bool) else bank.integer(value))
        for variable in inputs.variables
        for value in [known[variable.name]]
    ]
    # The result's terms mean something only where the function returns.
    terms = [outcome.returns, *outcome.raises.values(), outcome.unfinished]
    if evaluate_term(outcome.returns, known):
        terms += [
            one.term for one in outcome.value.values() if one.term is not None and evaluate_term(one.guard, known)
        ]
    differing = [differs(bank, term, evaluate_term(term, known)) for term in terms]
    text = obligation_text("fixed", inputs.variables, [*fixed, bank.any_of(*differing)])
    assert solvers.solve(text).answer is SolverAnswer.UNSAT, text


def differs(bank: TermBank, term: Term, value: int | bool) -> Term:
    if term.sort is Sort.BOOL:
        return bank.negate(term) if value else term
    return bank.negate(bank.equal(term, bank.integer(value)))


@given(st.integers(-50, 50), st.integers(-50, 50))
def test_division_is_python_s(left: int, right: int) -> None:
    bank = TermBank()
    one, other = bank.variable("a", Sort.INT), bank.variable("b", Sort.INT)
    values = {"a": left, "b": right}
    if right:
        assert evaluate_term(bank.floor_divide(one, other), values) == left // right
        assert evaluate_term(bank.floor_remainder(one, other), values) == left % right


def test_both_solvers_know_python_s_division(solvers: Solvers) -> None:
    bank = TermBank()
    a, b = bank.variable("a", Sort.INT, -7, 7), bank.variable("b", Sort.INT, -3, 3)
    for left in (-7, -1, 0, 5, 7):
        for right in (-3, -2, 1, 3):
            wrong = bank.any_of(
                bank.negate(bank.equal(bank.floor_divide(a, b), bank.integer(left // right))),
                bank.negate(bank.equal(bank.floor_remainder(a, b), bank.integer(left % right))),
            )
            fixed = [bank.equal(a, bank.integer(left)), bank.equal(b, bank.integer(right))]
            assert solvers.solve(obligation_text("division", [a, b], [*fixed, wrong])).answer is SolverAnswer.UNSAT


@given(functions(), INPUTS)
@settings(max_examples=60)
def test_intervals_hold(code: str, values: tuple[int, int, bool, list[int]]) -> None:
    """A term lies in its interval wherever execution gets to it; here, the returned one."""
    try:
        outcome = translate(code)
    except OutsideSubsetError:
        return
    known = variables_of(values)
    if evaluate_term(outcome.returns, known):
        for one in outcome.value.values():
            if one.term is not None and one.term.sort is Sort.INT and evaluate_term(one.guard, known):
                value = evaluate_term(one.term, known)
                assert one.term.low is None or one.term.low <= value
                assert one.term.high is None or value <= one.term.high


def test_points_and_samples_lie_in_the_domain_and_repeat() -> None:
    domain = {"flag": parse_domain("bool"), "xs": parse_domain("list[int[-1..1],1..2]")}
    points = domain_points(domain)
    assert len(points) == 2 * (3 + 9) == len({repr(point) for point in points})
    samples: list[tuple[Input, ...]] = sample_points({**domain, "n": parse_domain("int")}, 50)
    assert samples == sample_points({**domain, "n": parse_domain("int")}, 50)
    assert all((flag, xs) in points for flag, xs, _ in samples)
    assert len({n for _, _, n in samples if isinstance(n, int)}) > 5


@pytest.mark.parametrize(
    "body",
    [
        "return len(v for v in xs)",
        "return bool(v for v in xs)",
        "return abs(v for v in xs)",
        "ValueError = 3\n    raise ValueError",
        "for KeyError in range(2):\n        raise KeyError",
        "if flag:\n        raise IndexError\n    IndexError = x\n    return 0",
    ],
)
def test_generators_are_no_lists_and_names_may_hide_exceptions(body: str) -> None:
    with pytest.raises(OutsideSubsetError, match=r"of a generator|hides an exception"):
        translate(f"def f(x, y, flag, xs):\n    {body}\n")


def test_a_function_s_own_name_hides_an_exception() -> None:
    with pytest.raises(OutsideSubsetError, match="hides an exception"):
        translate("def KeyError(x, y, flag, xs):\n    raise KeyError\n")
