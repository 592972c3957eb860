"""The judge of Aethel: never proved where a run violates, never refuted without such a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nexus_chain.distillation.judge.aethel.interpreter import RunEnding, euclidean, run_sequence
from nexus_chain.distillation.judge.aethel.judging import judge_aethel
from nexus_chain.distillation.judge.aethel.obligations import translate_sequence
from nexus_chain.distillation.judge.aethel.parser import parse_aethel
from nexus_chain.distillation.judge.solvers import Solution, SolverAnswer, Solvers
from nexus_chain.distillation.judge.verdict import Outcome, Verdict
from tests.support.random_aethel import sources

BOX = range(-4, 5)


@pytest.fixture(scope="module")
def solvers() -> Iterator[Solvers]:
    with Solvers() as both:
        yield both


def test_an_artefact_for_each_divisor_and_each_intent(solvers: Solvers) -> None:
    source = (
        "intent f(x, y) { guard { y != 0; } solve { q = x / y; } verify { q * y + x % y == x; } } "
        "intent g(x) { guard { x > 2; } verify { x > 1; } }"
    )
    verdict = judge_aethel(source, solvers)
    assert verdict.outcome is Outcome.PROVED
    assert [one.name for one in verdict.artefacts] == ["f.divisor.1", "f.divisor.2", "f.verify", "g.verify"]
    assert all(solvers.solve(one.text).answer is SolverAnswer.UNSAT for one in verdict.artefacts)
    assert verdict.artefacts == judge_aethel(source.replace("; ", " ;\n"), solvers).artefacts  # of the meaning alone


def test_the_text_of_an_artefact_is_fixed(solvers: Solvers) -> None:
    source = "intent f(x, p: Bool) { guard { x > 0; } solve { if p { x = x + 1; } } verify { x > 0; } }"
    (artefact,) = judge_aethel(source, solvers).artefacts
    assert artefact.text == (
        "(set-logic ALL)\n(declare-const x.0 Int)\n(declare-const p.0 Bool)\n(assert (> x.0 0))\n"
        "(define-fun if.0 () Bool p.0)\n(define-fun x.1 () Int (+ x.0 1))\n"
        "(define-fun x.2 () Int (ite if.0 x.1 x.0))\n(assert (not (> x.2 0)))\n(check-sat)\n"
    )


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("intent f(x) { verify { x != 123456789; } }", {"x": "123456789"}),
        ("intent f(x, p: Bool) { guard { p; x == -3; } verify { x > 0; } }", {"x": "-3", "p": "true"}),
        ("intent f(x, y) { guard { x == 5; } solve { z = x / y; } verify { true; } }", {"x": "5", "y": "0"}),
        ("intent f() { verify { 1 == 2; } }", {}),
    ],
)
def test_a_counterexample_has_values_by_name(solvers: Solvers, source: str, values: dict[str, str]) -> None:
    verdict = judge_aethel(source, solvers)
    assert (verdict.outcome, verdict.counterexample, verdict.artefacts) == (Outcome.REFUTED, values, ())


def test_the_reason_of_a_refutation_names_intent_and_place(solvers: Solvers) -> None:
    verdict = judge_aethel("intent f(x) {\n verify { x / x == 1; } }", solvers)
    assert verdict.reason == "In f, a divisor is 0 (line 2, column 13)."


def test_contradictory_guards_are_vacuous_even_where_verify_is_false(solvers: Solvers) -> None:
    verdict = judge_aethel("intent f(x) { guard { x > 1; x < 1; } verify { false; } }", solvers)
    assert (verdict.outcome, verdict.vacuous) == (Outcome.UNKNOWN, True)
    assert verdict.reason == "The guards of f contradict each other."


def test_a_batch_whose_second_guard_can_never_pass_is_vacuous(solvers: Solvers) -> None:
    first = "intent a(x) { guard { x > 0; } solve { x = 0; } verify { x == 0; } }"
    second = "intent b(x) { guard { x > 0; } verify { x > 0; } }"
    assert judge_aethel(f"atomic_batch both {{ {first} {second} }}", solvers).vacuous
    assert judge_aethel(f"{first} {second}", solvers).outcome is Outcome.PROVED


def test_a_refutation_weighs_more_than_vacuous_guards(solvers: Solvers) -> None:
    source = "intent f(x) { guard { false; } verify { true; } } intent g(x) { verify { x > 0; } }"
    verdict = judge_aethel(source, solvers)
    assert (verdict.outcome, verdict.vacuous) == (Outcome.REFUTED, False)


def test_guards_of_later_intents_do_not_help_earlier_ones(solvers: Solvers) -> None:
    source = (
        "atomic_batch b { intent one(x) { verify { x > 0; } } intent two(x) { guard { x > 0; } verify { x > 0; } } }"
    )
    assert judge_aethel(source, solvers).outcome is Outcome.REFUTED


def test_a_tautology_is_proved_and_named(solvers: Solvers) -> None:
    taut = judge_aethel("intent f(x) { solve { x = x + 1; } verify { x == x; } }", solvers)
    assert taut.outcome is Outcome.PROVED
    assert "verify of f is a tautology" in taut.checked
    assert "tautology" not in judge_aethel("intent f(x) { solve { x = 1; } verify { x == 1; } }", solvers).checked


@pytest.mark.parametrize(
    "source",
    ["", "// nothing", "intent f(x) { verify { } }", "intent f(x) { guard { x > 0; } }", "atomic_batch b { }"],
)
def test_what_verifies_nothing_is_never_proved(solvers: Solvers, source: str) -> None:
    verdict = judge_aethel(source, solvers)
    assert (verdict.outcome, verdict.checked) == (Outcome.UNKNOWN, "Nothing was checked.")


def test_values_that_explode_are_unknown_before_a_solver_multiplies_them(solvers: Solvers) -> None:
    for start in ("x", "9999"):
        squares = f"y = {start}; " + "y = y * y; " * 40
        verdict = judge_aethel(f"intent f(x) {{ solve {{ {squares} }} verify {{ y % 7 != 3; }} }}", solvers)
        assert verdict.outcome is Outcome.UNKNOWN
        assert "values grow too large" in verdict.reason


def test_what_solvers_do_not_decide_is_unknown_and_names_the_obligation(solvers: Solvers) -> None:
    source = "intent f(a, b, c) { guard { a > 0; b > 0; c > 0; } verify { a*a*a + b*b*b != c*c*c; } }"
    verdict = judge_aethel(source, solvers)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "f.verify" in verdict.reason
    assert "within their limits" in verdict.reason


class Undecided(Solvers):
    """Decides nothing, and counts what it is asked."""

    asked = 0

    def solve(self, text: str) -> Solution:
        self.asked += 1
        return Solution(SolverAnswer.UNKNOWN, SolverAnswer.UNKNOWN, reason="Not today.")


@pytest.mark.parametrize("guard", ["", "guard { x > 99; } "])
def test_a_source_of_many_intents_has_no_more_patience_than_one(guard: str) -> None:
    solvers = Undecided()
    source = "".join(f"intent f{index}(x) {{ {guard}verify {{ x == x; }} }} " for index in range(9))
    verdict = judge_aethel(source, solvers)
    assert (verdict.outcome, solvers.asked) == (Outcome.UNKNOWN, 3)
    assert "f0" in verdict.reason
    assert judge_aethel(f"{source} intent g(x) {{ verify {{ x > 0; }} }}", solvers).outcome is Outcome.REFUTED


@pytest.mark.parametrize(
    ("blocks", "outcome"),
    [
        ("verify { y == 0 or x / y * y <= x; }", Outcome.PROVED),
        ("verify { y != 0 or x / y * y <= x; }", Outcome.REFUTED),
        ("verify { y == 0 or y < 0 or x % y < y; }", Outcome.PROVED),
        ("verify { y > 0 implies x % y < y; }", Outcome.PROVED),
        ("verify { y > 0 and x % y < y or y <= 0; }", Outcome.PROVED),
        ("solve { if y == 0 { z = 0; } else { z = x % y; } } verify { z >= 0; }", Outcome.PROVED),
        ("solve { if y == 0 { z = x % y; } else { z = 0; } } verify { z >= 0; }", Outcome.REFUTED),
        ("guard { y != 0; x / y > 1; } verify { x != 0; }", Outcome.PROVED),
        ("guard { x / y > 1; y != 0; } verify { x != 0; }", Outcome.REFUTED),
    ],
)
def test_a_divisor_is_protected_by_the_way_to_it(solvers: Solvers, blocks: str, outcome: Outcome) -> None:
    assert judge_aethel(f"intent f(x, y) {{ {blocks} }}", solvers).outcome is outcome


def test_old_is_the_value_where_its_own_intent_begins(solvers: Solvers) -> None:
    first = "intent a(x) { solve { x = x + 1; } verify { x == old(x) + 1; } }"
    second = "intent b(x) { solve { x = 2 * x + old(x); } verify { x == 3 * old(x); } }"
    assert judge_aethel(f"atomic_batch both {{ {first} {second} }}", solvers).outcome is Outcome.PROVED


def test_words_of_smt_lib_are_names_like_others(solvers: Solvers) -> None:
    source = "intent let(assert, Real: Bool, div) { guard { Real; } solve { par = assert + div; } verify { par > 0; } }"
    assert judge_aethel(source, solvers).counterexample == {"assert": "0", "div": "0", "Real": "true"}
    proved = judge_aethel(source.replace("par > 0", "par == assert + div"), solvers)
    assert proved.outcome is Outcome.PROVED


@pytest.mark.parametrize("statement", ["x = x + y - 3 * y + 1; ", "if x > y { x = x - 1; } else { y = y - 1; } "])
def test_a_long_source_is_judged(solvers: Solvers, statement: str) -> None:
    source = f"intent f(x, y) {{ solve {{ {statement * (30_000 // len(statement))} }} verify {{ x != y or x == y; }} }}"
    assert judge_aethel(source, solvers).outcome is Outcome.PROVED


class TestSpecification:
    SPECIFICATION = "intent double(x, y) { guard { x > 0; } verify { y == 2 * x; x == old(x); } }"

    def judged(self, source: str, solvers: Solvers) -> Verdict:
        return judge_aethel(source, solvers, self.SPECIFICATION)

    def test_only_solve_counts(self, solvers: Solvers) -> None:
        right = "intent double(x, y) { guard { false; } solve { y = x + x; } verify { false; } }"
        wrong = "intent double(x, y) { guard { x == 0; } solve { y = x * x; } verify { true; } }"
        proved = self.judged(right, solvers)
        assert proved.outcome is Outcome.PROVED
        assert "the answer's solve of double imply the specification's verify" in proved.checked
        assert self.judged(wrong, solvers).outcome is Outcome.REFUTED

    def test_inputs_cannot_be_chosen_by_the_answer(self, solvers: Solvers) -> None:
        source = "intent double(x, y) { solve { x = 1; y = 2; } verify { true; } }"
        assert self.judged(source, solvers).outcome is Outcome.REFUTED

    def test_an_intent_cannot_be_answered_twice(self, solvers: Solvers) -> None:
        source = "intent double(x, y) { solve { y = x + x; } verify { true; } } "
        assert "answered twice" in self.judged(source * 2, solvers).reason

    def test_the_intents_have_to_be_those_asked_for(self, solvers: Solvers) -> None:
        verdict = self.judged("intent other(x, y) { verify { true; } }", solvers)
        assert verdict.outcome is Outcome.UNKNOWN
        assert "double, other" in verdict.reason


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(source=sources())
@example(source="intent f0(x, y) { guard { } solve { } verify { (x / (-2)) == (y % (-3)); } }")
def test_verdicts_agree_with_runs(solvers: Solvers, source: str) -> None:
    verdict = judge_aethel(source, solvers)
    (sequence,) = parse_aethel(source)
    endings = {run_sequence(sequence, {"x": x, "y": y}).ending for x, y in itertools.product(BOX, BOX)}
    if verdict.outcome is Outcome.PROVED:
        assert endings <= {RunEnding.HOLDS, RunEnding.BLOCKED}
    if verdict.vacuous:
        assert RunEnding.HOLDS not in endings
    if verdict.outcome is Outcome.REFUTED:
        values = {name: int(value) for name, value in verdict.counterexample.items()}
        assert run_sequence(sequence, values).ending is RunEnding.VIOLATED
    if RunEnding.VIOLATED in endings:
        assert verdict.outcome is Outcome.REFUTED


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(source=sources(), x=st.integers(-60, 60), y=st.integers(-3, 3))
def test_the_translation_means_what_the_interpreter_does(solvers: Solvers, source: str, x: int, y: int) -> None:
    """At one point: all obligations are unsatisfiable there exactly where the run does not violate."""
    (sequence,) = parse_aethel(source)
    point = f"(assert (= x.0 {_smt(x)}))\n(assert (= y.0 {_smt(y)}))\n(assert "
    holds = all(
        solvers.solve(one.text.replace("(assert ", point, 1)).answer is SolverAnswer.UNSAT
        for one in translate_sequence(sequence).obligations
    )
    assert holds == (run_sequence(sequence, {"x": x, "y": y}).ending is not RunEnding.VIOLATED)


def _smt(value: int) -> str:
    return str(value) if value >= 0 else f"(- {-value})"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=st.integers(-(10**30), 10**30), b=st.integers(-(10**15), 10**15).filter(bool))
@example(a=7, b=-2)
@example(a=-7, b=-2)
@example(a=-7, b=2)
def test_division_means_the_same_to_python_and_both_solvers(solvers: Solvers, a: int, b: int) -> None:
    quotient, remainder = euclidean(a, b)
    assert quotient * b + remainder == a
    assert 0 <= remainder < abs(b)
    source = (
        f"intent f(a, b) {{ guard {{ a == {a}; b == {b}; }} verify {{ a / b == {quotient}; a % b == {remainder}; }} }}"
    )
    assert judge_aethel(source, solvers).outcome is Outcome.PROVED
    wrong = source.replace(f"== {quotient};", f"== {quotient} + 1;")
    assert judge_aethel(wrong, solvers).counterexample == {"a": str(a), "b": str(b)}
