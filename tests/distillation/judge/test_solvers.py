"""Both solvers over one text: what they agree on, what they refuse, and what ends them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexus_chain.distillation.judge.errors import ArtefactError
from nexus_chain.distillation.judge.solvers import SolverAnswer, SolverLimits, Solvers
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict

HEAD = "(set-logic ALL)(declare-const x Int)(declare-const y Real)"
HARD = """(set-logic ALL)(declare-const a Int)(declare-const b Int)(declare-const c Int)
(assert (and (> a 0) (> b 0) (> c 0) (= (+ (* a a a) (* b b b)) (* c c c))))(check-sat)"""


@pytest.fixture(scope="module")
def solvers() -> Iterator[Solvers]:
    with Solvers() as both:
        yield both


def test_both_prove(solvers: Solvers) -> None:
    solution = solvers.solve(f"{HEAD}(assert (and (> x 2) (< (* x x) 4)))(check-sat)")
    assert (solution.z3, solution.cvc5, solution.answer) == (SolverAnswer.UNSAT, SolverAnswer.UNSAT, SolverAnswer.UNSAT)


def test_a_model_has_values_that_python_reads(solvers: Solvers) -> None:
    solution = solvers.solve(f"{HEAD}(assert (= x (- 7)))(assert (= (* 3 y) (- 1)))(check-sat)")
    assert solution.answer is SolverAnswer.SAT
    assert solution.model == {"x": "-7", "y": "-1/3"}


def test_an_unknown_repeats_and_says_why(solvers: Solvers) -> None:
    first, second = solvers.solve(HARD), solvers.solve(HARD)
    assert first.answer is SolverAnswer.UNKNOWN
    assert first == second
    assert "within their limits" in first.reason


def test_an_answer_does_not_depend_on_those_before(solvers: Solvers) -> None:
    """A text may name a constant as another did, with another sort."""
    assert solvers.solve("(set-logic ALL)(declare-const x Bool)(assert x)(check-sat)").model["x"] in ("True", "true")
    assert solvers.solve(f"{HEAD}(assert (= x 3))(check-sat)").model["x"] == "3"


def test_solvers_that_exhaust_their_memory_are_ended_and_start_again() -> None:
    with Solvers(SolverLimits(memory=1 << 20)) as starved:
        solution = starved.solve(f"{HEAD}(assert (> x 2))(check-sat)")
        assert (solution.answer, solution.reason) == (SolverAnswer.UNKNOWN, "The solvers ran out of memory or stack.")
        starved.limits = SolverLimits()
        assert starved.solve(f"{HEAD}(assert (> x 2))(check-sat)").answer is SolverAnswer.SAT


def test_solvers_that_do_not_count_are_ended_by_the_clock() -> None:
    with Solvers(SolverLimits(z3_rlimit=0, cvc5_rlimit=0, seconds=0.5)) as endless:
        assert endless.solve(HARD).reason == "The solvers were stopped after 0.5 s."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(check-sat)(check-sat)",
        f"{HEAD}(assert true)",
        f'{HEAD}(echo "unsat")(check-sat)',
        f"{HEAD}(set-option :rlimit 0)(check-sat)",
        f"{HEAD}(get-info :version)(check-sat)",
        f"{HEAD}(push 1)(assert false)(check-sat)",
        f"{HEAD}(check-sat) unsat",
        f"{HEAD}(assert (> x 2)(check-sat)",
        f"{HEAD}(assert (> x 2)))(check-sat)",
        f'{HEAD}(assert (= x "))(check-sat)',
        f"{HEAD}(assert {'(not ' * 1001}true{')' * 1001})(check-sat)",
        f"{HEAD}(assert (> x {'9' * (1 << 20)}))(check-sat)",
        f"{HEAD}(assert (> x undeclared))(check-sat)",
    ],
)
def test_a_text_that_is_no_obligation_is_refused(solvers: Solvers, text: str) -> None:
    with pytest.raises(ArtefactError):
        solvers.solve(text)


def test_proved_is_never_said_without_what_proves_it() -> None:
    with pytest.raises(ValueError, match="names the artefacts"):
        Verdict(Kind.AETHEL, Outcome.PROVED, "c", "r")
    with pytest.raises(ValueError, match="not proved has none"):
        Verdict(Kind.AETHEL, Outcome.UNKNOWN, "c", "r", artefacts=(Artefact("a", "(check-sat)"),))
