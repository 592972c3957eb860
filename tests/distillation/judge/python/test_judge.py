"""Verdicts over claims about Python: what proves, what refutes, and what must not be believed."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from nexus_chain.distillation.judge.python.claim import parse_python_claim
from nexus_chain.distillation.judge.python.domain import domain_points, parse_domain
from nexus_chain.distillation.judge.python.judge import judge_python
from nexus_chain.distillation.judge.sandbox.errors import SandboxUnavailableError
from nexus_chain.distillation.judge.sandbox.sandbox import Sandbox, SandboxLimits
from nexus_chain.distillation.judge.solvers import Solution, SolverAnswer, Solvers
from nexus_chain.distillation.judge.verdict import Enumeration, Kind, Outcome, Verdict
from tests.support.random_python import EndlessError, functions, really

IDENTITY = "def f(x):\n    return x"


@pytest.fixture(scope="module")
def solvers() -> Iterator[Solvers]:
    with Solvers() as both:
        yield both


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(SandboxLimits(seconds=30.0, cpu_seconds=1))


def claim(code: str, **fields: Any) -> Any:
    document = {"kind": "python", "code": code, "function": "f", "domain": {"x": "int"}, **fields}
    return parse_python_claim(document)


class Scripted(Solvers):
    """Says of every text what it was told to say."""

    def __init__(self, solution: Solution) -> None:
        super().__init__()
        self.solution = solution

    def solve(self, text: str) -> Solution:
        return self.solution


def test_a_proof_names_what_both_solvers_proved(solvers: Solvers, sandbox: Sandbox) -> None:
    code = "def f(n):\n    s = 0\n    while n > 0:\n        s += n\n        n -= 1\n    return s"
    reference = "def f(n):\n    if n < 0:\n        return 0\n    return n * (n + 1) // 2"
    verdict = judge_python(claim(code, domain={"n": "int[-3..9]"}, reference=reference), solvers, sandbox)
    assert (verdict.kind, verdict.outcome, verdict.counterexample) == (Kind.PYTHON, Outcome.PROVED, {})
    assert "n in int[-3..9]" in verdict.checked
    assert [artefact.name for artefact in verdict.artefacts] == ["equivalence"]
    for artefact in verdict.artefacts:
        assert solvers.solve(artefact.text).answer is SolverAnswer.UNSAT
        assert sha256(code.encode()).hexdigest() in artefact.text


def test_a_loop_s_end_is_proved_too(solvers: Solvers, sandbox: Sandbox) -> None:
    """Its rounds are bounded by what is required, and not by the domain."""
    loop = "def f(x):\n    c = 0\n    while c < x:\n        c += 1\n    return c"
    contract = {"requires": "0 <= x <= 9", "ensures": "result == x"}
    verdict = judge_python(claim(loop, contract=contract), solvers, sandbox)
    assert [artefact.name for artefact in verdict.artefacts] == ["contract", "unwinding"]
    unbounded = judge_python(claim(loop, contract={"requires": "0 <= x", "ensures": "result == x"}), solvers, sandbox)
    assert (unbounded.outcome, unbounded.artefacts) == (Outcome.UNKNOWN, ())
    assert "more rounds" in unbounded.reason


def test_a_counterexample_is_one(solvers: Solvers, sandbox: Sandbox) -> None:
    code = "def f(x):\n    return x if x != 123456789 else 0"
    verdict = judge_python(claim(code, reference=IDENTITY), solvers, sandbox)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.counterexample == {"x": "123456789", "result": "0"}
    assert verdict.reason == "For 123456789 it gives 0; right is 123456789."


@pytest.mark.parametrize(
    ("code", "reference", "result"),
    [
        ("return xs.append(1)", "return None", "None, leaving its arguments [[1]]"),
        ("ys = xs\nys.append(1)\nreturn 0", "return 0", "0, leaving its arguments [[1]]"),
        ("return xs[0]", "return 0", "raise IndexError"),
        ("return len(xs) > 0", "return int(len(xs) > 0)", "False"),
    ],
)
def test_what_a_caller_sees_counts(solvers: Solvers, sandbox: Sandbox, code: str, reference: str, result: str) -> None:
    sources = [
        f"def f(xs):\n    {body}".replace("\n", "\n    ").replace("        ", "    ") for body in (code, reference)
    ]
    made = claim(sources[0], reference=sources[1], domain={"xs": "list[int,0..0]"})
    verdict = judge_python(made, solvers, sandbox)
    assert (verdict.outcome, verdict.counterexample.get("result")) == (Outcome.REFUTED, result)


def test_a_model_that_is_no_counterexample_is_not_believed(sandbox: Sandbox) -> None:
    lie = Scripted(Solution(SolverAnswer.SAT, SolverAnswer.SAT, {"in_x": "5"}))
    verdict = judge_python(claim(IDENTITY, reference=IDENTITY), lie, sandbox)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "counterexample 5 is none when it is run" in verdict.reason


@pytest.mark.parametrize("second", [SolverAnswer.UNKNOWN, SolverAnswer.SAT])
def test_one_solver_proves_nothing(sandbox: Sandbox, second: SolverAnswer) -> None:
    verdict = judge_python(claim(IDENTITY, reference=IDENTITY), Scripted(Solution(SolverAnswer.UNSAT, second)), sandbox)
    assert (verdict.outcome, verdict.artefacts) == (Outcome.UNKNOWN, ())


def test_where_nothing_can_be_confined_nothing_runs_but_a_proof_stands(solvers: Solvers) -> None:
    nowhere = Sandbox(confinements=())
    assert judge_python(claim(IDENTITY, reference=IDENTITY), solvers, nowhere).outcome is Outcome.PROVED
    for made in (
        claim("def f(x):\n    return 0", reference=IDENTITY),
        claim("import os\ndef f(x):\n    return x", reference=IDENTITY),
        claim(IDENTITY, examples=[{"arguments": [1], "result": 1}]),
    ):
        with pytest.raises(SandboxUnavailableError):
            judge_python(made, solvers, nowhere)


def test_exhaustion_names_its_table(solvers: Solvers, sandbox: Sandbox) -> None:
    code = "def f(x):\n    return x if x < 2 else f(x - 1) + f(x - 2)"
    loop = "def f(x):\n    a, b = 0, 1\n    for _ in range(x):\n        a, b = b, a + b\n    return a"
    made = claim(code, reference=loop, domain={"x": "int[0..6]"})
    verdict = judge_python(made, solvers, sandbox)
    table = "".join(f"{x}\t{value}\n" for x, value in enumerate([0, 1, 1, 2, 3, 5, 8]))
    expected = Enumeration("exhaustion", "x in int[0..6]", 7, sha256(table.encode()).hexdigest())
    assert (verdict.outcome, verdict.artefacts, verdict.enumerations) == (Outcome.PROVED, (), (expected,))


@pytest.mark.parametrize(
    ("code", "construct"),
    [
        ("n = 0\ndef f(x):\n    global n\n    n += 1\n    return x if n < 9 else 0", "Assign"),
        ("def f(x, n=[]):\n    n.append(1)\n    return x if len(n) < 9 else 0", "default value"),
        ("def f(x):\n    f.count = 1\n    return x", "attribute count"),
        ("def f(x):\n    return x if id(f) else 0", "global name 'id'"),
        ("def f(x):\n    return len([v for v in {1, x}]) and x", "Set"),
        ("def f(x):\n    try:\n        return x\n    except RecursionError:\n        return 0", "Try"),
        ("def sorted(x):\n    return x\ndef f(x):\n    return sorted(x)", "replaces another"),
        ("def f(x):\n    return x if '%s' % f else 0", "a text"),
    ],
)
def test_a_table_of_code_with_a_memory_proves_nothing(
    solvers: Solvers, sandbox: Sandbox, code: str, construct: str
) -> None:
    verdict = judge_python(claim(code, reference=IDENTITY, domain={"x": "int[0..3]"}), solvers, sandbox)
    assert verdict.outcome is Outcome.UNKNOWN
    assert construct in verdict.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return x\nreturn eval('x')", None),
        ("y = x\nreturn eval('y')", "line 3: a call of 'eval'"),
        ("return f(x - 1) if x > 0 else x", "line 2: recursion"),
        ("import os\nreturn x", "line 2: the statement Import"),
        ("return x / 1", "line 2: the operator Div"),
        ("return 10 ** 10 ** 10", "line 2: a power"),
        ("return g", "line 2: the global name 'g'"),
        ("return x is 1", "line 2: identity"),
        ("return x.real", "line 2: the expression Attribute"),
        ("try:\n    return x\nfinally:\n    pass", "line 2: the statement Try"),
        ("for i in range(99): x += 0\nreturn x", "A loop may have more rounds"),
        ("len = 3\nreturn len(x)", "line 3: a call of 'len'"),
    ],
)
def test_what_is_not_translated_is_named(solvers: Solvers, sandbox: Sandbox, body: str, reason: str | None) -> None:
    code = "def f(x):\n    " + body.replace("\n", "\n    ")
    verdict = judge_python(claim(code, reference="def f(x):\n    return x + 0"), solvers, sandbox)
    if reason is None:
        assert verdict.outcome is Outcome.PROVED  # what is never reached does not matter
    else:
        assert verdict.outcome is not Outcome.PROVED
        assert verdict.outcome is Outcome.REFUTED or reason in verdict.reason


@pytest.mark.parametrize("parameters", ["b, a", "a, b=0", "a, b, c=0", "c, d"])
def test_a_table_proves_nothing_of_other_parameters(solvers: Solvers, sandbox: Sandbox, parameters: str) -> None:
    """They are called by their place, and what is proved names them."""
    code = f"def f({parameters}):\n    return [0, 0][{parameters[0]} and 0:][0]"
    reference = "def f(a, b):\n    return 0"
    made = claim(code, reference=reference, domain={"a": "int[0..2]", "b": "int[0..2]"})
    verdict = judge_python(made, solvers, sandbox)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "no function f(a, b)" in verdict.reason


def test_examples_only_refute(solvers: Solvers, sandbox: Sandbox) -> None:
    examples = [{"arguments": [2], "result": 2}, {"arguments": [3], "result": 4}]
    kept = judge_python(claim(IDENTITY, examples=examples[:1]), solvers, sandbox)
    assert kept.outcome is Outcome.UNKNOWN
    broken = judge_python(claim(IDENTITY, reference=IDENTITY, examples=examples), solvers, sandbox)
    assert (broken.outcome, broken.counterexample) == (Outcome.REFUTED, {"x": "3", "result": "3"})


def test_contradicting_requirements_are_vacuous(solvers: Solvers, sandbox: Sandbox) -> None:
    contract = {"requires": "x > 1 and x < 2", "ensures": "False"}
    verdict = judge_python(claim(IDENTITY, contract=contract), solvers, sandbox)
    assert (verdict.outcome, verdict.vacuous) == (Outcome.UNKNOWN, True)


def test_a_requirement_that_raises_proves_nothing(solvers: Solvers, sandbox: Sandbox) -> None:
    contract = {"requires": "1 // x > 0", "ensures": "result == x"}
    verdict = judge_python(claim(IDENTITY, contract=contract), solvers, sandbox)
    assert (verdict.outcome, verdict.vacuous) == (Outcome.UNKNOWN, False)
    assert "requires raises" in verdict.reason


def test_a_verdict_says_what_proves_it() -> None:
    with pytest.raises(ValueError, match="proved"):
        Verdict(Kind.PYTHON, Outcome.PROVED, "All.", "So.")
    with pytest.raises(ValueError, match="not proved"):
        Verdict(Kind.PYTHON, Outcome.UNKNOWN, "All.", "So.", enumerations=(Enumeration("e", "x in bool", 2, "0"),))


TINY = {"x": "int[-2..2]", "y": "int[-1..1]", "flag": "bool", "xs": "list[int[-1..1],0..2]"}
CHANGES = [
    *((" < ", " <= "), (" + ", " - "), (" 1", " 2"), (" and ", " or "), ("xs[0]", "xs[-1]"), (" // ", " % ")),
    *((" x", " x"), (" > ", " >= "), ("return", "return 0 or")),
]


@settings(max_examples=20)
@given(code=functions(), change=st.sampled_from(CHANGES))
def test_no_verdict_contradicts_execution(
    solvers: Solvers, sandbox: Sandbox, code: str, change: tuple[str, str]
) -> None:
    """Over a domain that is small enough to run through here, every verdict but *unknown* is the right one."""
    head, body = code.split(":", 1)
    other = f"{head}:{body.replace(*change, 1)}"
    verdict = judge_python(claim(code, reference=other, domain=TINY), solvers, sandbox)
    points = domain_points({name: parse_domain(text) for name, text in TINY.items()})
    try:
        differing = [point for point in points if really(code, point) != really(other, point)]
    except EndlessError:
        reject()  # a changed loop may never end; the sandbox ends it, and what it judged is tested elsewhere
    if verdict.outcome is Outcome.PROVED:
        assert differing == [], (code, other)
    if verdict.outcome is Outcome.REFUTED:
        assert differing, (code, other)


def test_the_order_of_a_domain_says_nothing(solvers: Solvers, sandbox: Sandbox) -> None:
    """A claim is kept as JSON with sorted keys: its parameters are in the order that the reference declares."""
    reference = "def f(b, a):\n    return b - a"
    for domain in ({"b": "int", "a": "int"}, {"a": "int", "b": "int"}):
        swapped = claim("def f(b, a):\n    return -(a - b)", domain=domain, reference=reference)
        assert judge_python(swapped, solvers, sandbox).outcome is Outcome.PROVED
        wrong = claim("def f(a, b):\n    return b - a", domain=domain, reference=reference)
        assert judge_python(wrong, solvers, sandbox).outcome is Outcome.REFUTED
