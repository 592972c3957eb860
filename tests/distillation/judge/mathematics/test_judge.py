"""Verdicts: what is proved, what is refuted and where, what stays unknown, and what each says it checked."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.distillation.judge.mathematics.claim import MathematicsClaim, MathematicsScope
from nexus_chain.distillation.judge.mathematics.exact import UndefinedValueError, exact_value
from nexus_chain.distillation.judge.mathematics.judge import judge_mathematics
from nexus_chain.distillation.judge.mathematics.second_opinion import SecondOpinion
from nexus_chain.distillation.judge.mathematics.terms import Apply, Literal, MathTerm, Name, names_in, plain
from nexus_chain.distillation.judge.mathematics.verdicts import MathematicsVerdict
from nexus_chain.distillation.judge.solvers import SolverAnswer, SolverLimits, Solvers
from nexus_chain.distillation.judge.verdict import Outcome

RIGHT_NUMBER_AFTER_A_WRONG_STEP = "12 + 7 = 18\n18 - 4 = 14\n#### 14"


@pytest.fixture(scope="module")
def solvers() -> Iterator[Solvers]:
    with Solvers() as both:
        yield both


def judged(solvers: Solvers, response: str, expected: str, domain: str = "integers") -> MathematicsVerdict:
    return judge_mathematics(MathematicsClaim(response, expected, domain), solvers)


def reasoned(solvers: Solvers, response: str, expected: str) -> MathematicsVerdict:
    return judge_mathematics(MathematicsClaim(response, expected, scope=MathematicsScope.REASONING), solvers)


def test_the_artefact_states_the_claim_and_is_the_same_each_time(solvers: Solvers) -> None:
    first = judged(solvers, "14", "12+7-5")
    assert first.artefacts[0].text == (
        "(set-logic ALL)\n(assert true)\n(assert (not (= 14 (+ 12 7 (- 5)))))\n(check-sat)\n"
    )
    assert judged(solvers, r"The answer is \boxed{14}.", "12 + 7 - 5").artefacts == first.artefacts


def test_the_domain_decides(solvers: Solvers) -> None:
    assert judged(solvers, "x", "abs(x)", "naturals").outcome is Outcome.PROVED
    refuted = judged(solvers, "x", "abs(x)", "integers")
    assert (refuted.outcome, refuted.counterexample["x"]) == (Outcome.REFUTED, "-1")
    assert judged(solvers, "x", "x % 101", "0..100").outcome is Outcome.PROVED
    assert judged(solvers, "x", "x % 100", "0..100").counterexample["x"] == "100"


def test_a_wrong_step_is_named_and_is_no_proved_reasoning(solvers: Solvers) -> None:
    answer = judged(solvers, RIGHT_NUMBER_AFTER_A_WRONG_STEP, "12+7-5")
    assert (answer.outcome, answer.proved_reasoning) == (Outcome.PROVED, False)
    assert answer.checked == "The final answer 14 and 1 steps of 2, against 12+7-5, over the integers."
    assert "step 1 is false: 12 + 7 = 18" in answer.reason
    reasoning = reasoned(solvers, RIGHT_NUMBER_AFTER_A_WRONG_STEP, "12+7-5")
    assert (reasoning.outcome, reasoning.answer) == (Outcome.REFUTED, Outcome.PROVED)
    assert reasoning.counterexample == {"left side": "19", "right side": "18"}
    assert not reasoning.artefacts


def test_right_steps_are_proved_reasoning(solvers: Solvers) -> None:
    verdict = reasoned(solvers, "12 + 7 = 19\n19 - 5 = 14\n#### 14", "12+7-5")
    assert (verdict.outcome, verdict.proved_reasoning) == (Outcome.PROVED, True)
    assert "2 steps of 2" in verdict.checked
    assert [artefact.name for artefact in verdict.artefacts] == ["answer", "step 1", "step 2"]


def test_an_answer_alone_is_no_reasoning(solvers: Solvers) -> None:
    verdict = reasoned(solvers, "14", "12+7-5")
    assert (verdict.outcome, verdict.proved_reasoning) == (Outcome.UNKNOWN, False)
    assert "Only the final answer" in verdict.checked
    assert "shows no step" in verdict.reason


def test_a_step_that_is_not_read_is_no_proof_and_no_refutation(solvers: Solvers) -> None:
    assert reasoned(solvers, "12 apples + 7 = 19\n#### 14", "12+7-5").outcome is Outcome.UNKNOWN
    assert reasoned(solvers, "if 12 + 7 = 18 ...\n#### 14", "12+7-5").outcome is Outcome.UNKNOWN


def test_solving_an_equation_is_judged_step_by_step(solvers: Solvers) -> None:
    assert reasoned(solvers, "2x + 3 = 7\n2x = 4\nx = 2", "2*x+3=7").proved_reasoning
    wrong = reasoned(solvers, "2x + 3 = 7\n2x = 10\nx = 2", "2*x+3=7")
    assert (wrong.outcome, wrong.counterexample["x"]) == (Outcome.REFUTED, "2")


def test_names_that_the_response_defines_have_a_value(solvers: Solvers) -> None:
    assert reasoned(solvers, "Let t = 12 + 7. Then t - 5 = 14.\n#### 14", "12+7-5").proved_reasoning
    assert reasoned(solvers, "Let t = 1/0. Then t = 14.\n#### 14", "12+7-5").outcome is Outcome.REFUTED
    growing = "\n".join(f"{new} = {old} + {old} + {old}" for old, new in zip("abcdjklmno", "bcdjklmnop", strict=True))
    verdict = reasoned(solvers, f"a = 1 + 1\n{growing}\n#### 14", "12+7-5")
    assert verdict.outcome is Outcome.UNKNOWN
    assert "Names stand for more" in verdict.reason


def test_what_divides_is_not_zero(solvers: Solvers) -> None:
    whole = judged(solvers, "1", "x/x")
    assert whole.outcome is Outcome.PROVED
    assert "where x is not 0" in whole.checked
    undefined = judged(solvers, "x*(x/x)", "x")
    assert (undefined.outcome, undefined.counterexample) == (
        Outcome.REFUTED,
        {"x": "0", "left side": "undefined", "right side": "0"},
    )
    assert judged(solvers, "x*(x/x)", "x", "1..100").outcome is Outcome.PROVED


def test_what_is_defined_nowhere_is_vacuous(solvers: Solvers) -> None:
    for expected in ("1/0", "0/(x-x)", "0^0"):
        verdict = judged(solvers, "5", expected)
        assert (verdict.outcome, verdict.vacuous) == (Outcome.UNKNOWN, True)


def test_the_question_is_no_answer(solvers: Solvers) -> None:
    assert "not worked out" in judged(solvers, "12+7-5", "12+7-5").reason
    assert "not solved" in judged(solvers, "2x + 3 = 7", "2*x+3=7").reason


@pytest.mark.parametrize("domain", ["quaternions", "5..1", "integers 0.2..0.8", {"": "integers"}, {"y": "integers"}])
def test_a_domain_that_is_not_known_is_refused(solvers: Solvers, domain: str) -> None:
    verdict = judge_mathematics(MathematicsClaim("x", "x", domain), solvers)
    assert (verdict.outcome, verdict.checked) == (Outcome.UNKNOWN, "Nothing was checked.")


@pytest.mark.parametrize("response", ["1^" + "9" * 300, "(-1)^(2^4000)", "0^(2^4000)"])
def test_an_enormous_exponent_is_refused(solvers: Solvers, response: str) -> None:
    assert "exponent above" in judged(solvers, response, "1").reason


def test_a_counterexample_too_large_to_compute_is_said(solvers: Solvers) -> None:
    verdict = reasoned(solvers, "1/0 = 2^4000*2^4000\nThe answer is 14", "12+7-5")
    assert verdict.counterexample == {"left side": "undefined", "right side": "not computed"}


def test_no_more_steps_are_asked_about_after_three_undecided(solvers: Solvers) -> None:
    hard = "\n".join(f"(x^2 + x)*(x + {number})^9 % 2 = 0" for number in range(8))
    claim = MathematicsClaim(f"{hard}\n#### x", "x", scope=MathematicsScope.REASONING)
    with Solvers(SolverLimits(z3_rlimit=1_000, cvc5_rlimit=100)) as short:
        verdict = judge_mathematics(claim, short)
    asked = [step for step in verdict.steps if "nobody asked" not in step.reason]
    assert (verdict.outcome, len(verdict.steps)) == (Outcome.UNKNOWN, 8)
    assert len(asked) == 3


def test_every_term_of_a_chain_is_what_is_expected(solvers: Solvers) -> None:
    assert judged(solvers, "12 + 7 - 5 = 19 - 5 = 14", "12+7-5").outcome is Outcome.PROVED
    assert judged(solvers, "12 + 7 - 5 = 15", "12+7-5").counterexample == {"left side": "15", "right side": "14"}
    for response in ("2x = 14", "x + 1 = 14", "-x = 14", "3 = 14", "12+7-5 = 19 - 5 = 15 = 14", "14 + 5 = 19"):
        assert judged(solvers, f"The answer is {response}", "12+7-5").outcome is Outcome.UNKNOWN


def test_solutions_lie_in_the_domain(solvers: Solvers) -> None:
    assert "1/2 is not in the domain" in judged(solvers, "x = 2 or x = -2 or x = 1/2", "x^2 = 4").reason
    assert judged(solvers, "x = 2 or x = -2", "x^2 = 4", "reals").outcome is Outcome.PROVED
    assert "real solutions" in judged(solvers, "no real solutions", "x^2 = 2").reason


def test_brackets_are_no_set_of_solutions(solvers: Solvers) -> None:
    assert "interval" in judged(solvers, "[1, 3]", "x = 1 or x = 3").reason
    assert judged(solvers, "{1, 3}", "x = 1 or x = 3").outcome is Outcome.PROVED


def test_an_order_that_nobody_names_is_not_judged(solvers: Solvers) -> None:
    assert judged(solvers, "1, 2", "1, 2").outcome is Outcome.PROVED
    assert "order" in judged(solvers, "2, 1", "1, 2").reason
    assert judged(solvers, "2, 1", "[1, 2]").outcome is Outcome.REFUTED


def test_other_statements_prove_what_the_first_does_not(solvers: Solvers) -> None:
    """Remainders one by one: the artefacts say that there are no others, and are proved again alone."""
    with Solvers(SolverLimits(z3_rlimit=200_000, cvc5_rlimit=20_000)) as short:
        verdict = judged(short, "0", "(x^2 + x) % 2")
        assert [artefact.name for artefact in verdict.artefacts] == [
            "answer: every remainder",
            "answer: remainder 0 of 2",
            "answer: remainder 1 of 2",
        ]
        assert all(short.solve(artefact.text).answer is SolverAnswer.UNSAT for artefact in verdict.artefacts)


def test_sympy_finds_a_counterexample_that_is_checked() -> None:
    """Fermat's challenge of 1657: the least solution has ten digits, and no solver finds it."""
    claim = MathematicsClaim("no solution", "x^2 - 61*y^2 = 1", "1..2000000000")
    with Solvers(SolverLimits(z3_rlimit=20_000, cvc5_rlimit=2_000)) as short, SecondOpinion(seconds=60) as opinion:
        assert judge_mathematics(claim, short).outcome is Outcome.UNKNOWN
        verdict = judge_mathematics(claim, short, opinion)
    assert verdict.counterexample == {"x": "1766319049", "y": "226153980"}


def test_a_second_opinion_that_does_not_come_is_none() -> None:
    claim = MathematicsClaim("no solution", "x^3 + y^3 = z^3", "1..1000")
    with Solvers(SolverLimits(z3_rlimit=20_000, cvc5_rlimit=2_000)) as short, SecondOpinion(seconds=0.0) as opinion:
        verdict = judge_mathematics(claim, short, opinion)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "SymPy gave no answer" in verdict.reason


LEAVES = st.one_of(
    st.integers(0, 9).map(lambda value: Literal(Fraction(value))), st.sampled_from("xy").map(lambda name: Name(name))
)


def _larger(inner: st.SearchStrategy[MathTerm]) -> st.SearchStrategy[MathTerm]:
    pair = st.tuples(inner, inner)
    small = st.integers(1, 3).map(lambda value: Literal(Fraction(value)))
    return st.one_of(
        st.builds(Apply, st.sampled_from(["+", "*", "min", "max"]), pair),
        st.builds(Apply, st.sampled_from(["/", "^"]), st.tuples(inner, small)),
        st.builds(Apply, st.sampled_from(["//", "%"]), st.tuples(inner, small)),
        st.builds(Apply, st.sampled_from(["neg", "abs"]), st.tuples(inner)),
    )


TERMS: st.SearchStrategy[MathTerm] = st.recursive(LEAVES, _larger, max_leaves=5)
POINTS = [{"x": Fraction(x), "y": Fraction(y)} for x in range(-4, 5) for y in (-7, -1, 0, 2, 5)]


def _value(term: MathTerm, point: dict[str, Fraction]) -> Fraction | None:
    try:
        return exact_value(term, point)
    except UndefinedValueError:
        return None


@settings(max_examples=40)
@given(TERMS, TERMS, st.booleans())
def test_no_verdict_contradicts_exact_values(
    solvers: Solvers, first: MathTerm, second: MathTerm, related: bool
) -> None:
    """Proved: both sides agree at every point. Refuted: they differ at the counterexample."""
    expected = Apply("+", (first, second)) if related else first
    answer = Apply("+", (second, first)) if related else second
    verdict = judged(solvers, plain(answer), plain(expected))
    if verdict.outcome is Outcome.PROVED:
        for point in POINTS:
            wanted = _value(expected, point)
            assert wanted is None or _value(answer, point) == wanted
    if verdict.outcome is Outcome.REFUTED:
        names = names_in(expected) | names_in(answer)
        point = {name: Fraction(verdict.counterexample[name]) for name in names}
        assert _value(expected, point) is not None
        assert _value(answer, point) != _value(expected, point)
