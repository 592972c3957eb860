"""Random functions in the subset of Python that the judge translates, their inputs, and what they really do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hypothesis import strategies as st

PARAMETERS = ("x", "y", "flag", "xs")
DOMAIN = {"x": "int[-4..4]", "y": "int[-4..4]", "flag": "bool", "xs": "list[int[-2..2],0..3]"}

_ATOMS = st.sampled_from(["x", "y", "flag", "v", "w", "0", "1", "2", "-1", "3", "True", "False", "len(xs)", "xs[0]"])
_ARITHMETIC = ["+", "-", "*", "//", "%"]
_COMPARISONS = ["<", "<=", ">", ">=", "==", "!="]


def _larger(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def joined(pattern: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.tuples(*parts).map(lambda texts: pattern.format(*texts))

    arithmetic, comparison = st.sampled_from(_ARITHMETIC), st.sampled_from(_COMPARISONS)
    return st.one_of(
        joined("({} {} {})", part, arithmetic, part),
        joined("({} {} {})", part, arithmetic, part),
        joined("({} {} {})", part, comparison, part),
        joined("({} {} {} {} {})", part, comparison, part, comparison, part),
        joined("({} {} {})", part, st.sampled_from(["and", "or"]), part),
        joined("(not {})", part),
        joined("(-{})", part),
        joined("({} if {} else {})", part, part, part),
        joined("xs[{}]", part),
        joined("{}({}, {})", st.sampled_from(["min", "max"]), part, part),
        joined("{}({})", st.sampled_from(["abs", "int", "bool"]), part),
        joined("{}(xs)", st.sampled_from(["sum", "min", "max", "any", "all"])),
        joined("({} in xs)", part),
        joined("{}(u {} {} for u in xs if u < {})", st.sampled_from(["any", "all", "sum"]), comparison, part, part),
    )


EXPRESSIONS = st.recursive(_ATOMS, _larger, max_leaves=5)


@st.composite
def _statements(draw: st.DrawFn, depth: int, in_loop: bool) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        lines += draw(_statement(depth, in_loop))
    return lines


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@st.composite
def _statement(draw: st.DrawFn, depth: int, in_loop: bool) -> list[str]:
    kinds = ["assign", "assign", "augment", "return", "item", "append", "alias", "pair", "assert", "raise"]
    kinds += ["if", "if", "for", "each", "while"] if depth else []
    kinds += ["break", "continue"] if in_loop else []
    kind = draw(st.sampled_from(kinds))
    one, other = draw(EXPRESSIONS), draw(EXPRESSIONS)
    name = draw(st.sampled_from(["v", "w", "x"]))
    if kind in ("if", "for", "each", "while"):
        body = _indented(draw(_statements(depth - 1, in_loop or kind != "if")))
        rest = ["else:", *_indented(draw(_statements(depth - 1, in_loop)))] if draw(st.booleans()) else []
        heads = {"if": f"if {one}:", "for": f"for {name} in range(min({one}, 3)):", "each": f"for {name} in xs:"}
        if kind == "while":
            return ["n = 3", f"while n > 0 and {one}:", "    n -= 1", *body]
        return [heads[kind], *body, *(rest if kind == "if" else [])]
    return {
        "assign": [f"{name} = {one}"],
        "augment": [f"{name} {draw(st.sampled_from(_ARITHMETIC))}= {one}"],
        "return": [f"if {other}: return {one}"],
        "item": [f"xs[{one}] = {other}"],
        "append": [f"xs.append({one})"],
        "alias": [f"ys = {draw(st.sampled_from(['xs', 'list(xs)', 'xs[:]', 'xs.copy()']))}", f"ys.append({one})"],
        "pair": [f"v, w = {one}, {other}"],
        "assert": [f"assert {one}"],
        "raise": [f"if {one}: raise ValueError('no')"],
        "break": ["break"],
        "continue": ["continue"],
    }[kind]


@st.composite
def functions(draw: st.DrawFn) -> str:
    """The source of a random function ``f(x, y, flag, xs)``; some locals may be read before they have a value."""
    lines = draw(st.lists(st.sampled_from(["v = x", "w = y"]), max_size=2, unique=True))
    lines += draw(_statements(2, False))
    result = draw(st.one_of(EXPRESSIONS, st.just("xs"), st.just("[u + 1 for u in xs if u != y]")))
    return "\n".join([f"def f({', '.join(PARAMETERS)}):", *_indented([*lines, f"return {result}"])])


INPUTS = st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.booleans(), st.lists(st.integers(-2, 2), max_size=3))


MOST_LINES = 5_000


class EndlessError(Exception):
    """Raised when a function runs more lines than MOST_LINES: nobody waits for its end."""


def really(code: str, arguments: Sequence[Any]) -> str:
    """What Python itself does: ``VALUE; ARGUMENTS`` afterwards, or the exception's name. For our own sources only.

    Raises EndlessError.
    """
    module: dict[str, Any] = {}
    exec(compile(code, "random", "exec", dont_inherit=True), module)
    values = [list(value) if isinstance(value, list) else value for value in arguments]
    try:
        with _counted_lines():
            result = module["f"](*values)
    except EndlessError:
        raise
    except Exception as error:  # noqa: BLE001
        return type(error).__name__
    return f"{result!r}; {values[-1]!r}"


@contextmanager
def _counted_lines() -> Iterator[None]:
    left, before = MOST_LINES, sys.gettrace()

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if left < 0:
            raise EndlessError
        return count

    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)
