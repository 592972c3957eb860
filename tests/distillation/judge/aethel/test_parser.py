"""What Aethel is and what it is not: precedence, places of errors, hostile text."""

from __future__ import annotations

import pytest

from nexus_chain.distillation.judge.aethel.interpreter import AethelRun, RunEnding, run_sequence
from nexus_chain.distillation.judge.aethel.names import require_meaning
from nexus_chain.distillation.judge.aethel.parser import parse_aethel
from nexus_chain.distillation.judge.errors import AethelError


def run(source: str, **values: int) -> AethelRun:
    (sequence,) = parse_aethel(source)
    require_meaning((sequence,))
    return run_sequence(sequence, values)


def holds(condition: str, **values: int) -> bool:
    parameters = ", ".join(f"{name}: {'Bool' if isinstance(value, bool) else 'Int'}" for name, value in values.items())
    return run(f"intent f({parameters}) {{ verify {{ {condition}; }} }}", **values).ending is RunEnding.HOLDS


@pytest.mark.parametrize(
    "condition",
    [
        "2 + 3 * 4 == 14",
        "(2 + 3) * 4 == 20",
        "10 - 3 - 2 == 5",
        "24 / 4 / 2 == 3",
        "-2 * -3 == 6",
        "- - 2 == 2",
        "-7 / 2 == -4",
        "-(7 / 2) == -3",
        "not 1 == 2",
        "true or false and false",
        "not true or true",
        "false implies true implies false",
        "true => false => false",
        "(true => false) => false",
        "!false && !false",
        "(1 < 2) == true and true",
    ],
)
def test_operators_bind_as_written_down(condition: str) -> None:
    assert holds(condition)


def test_bang_binds_tighter_than_a_comparison_and_not_does_not() -> None:
    assert holds("!p == q", p=True, q=False)
    assert holds("not x == 2", x=1)
    with pytest.raises(AethelError, match="Bool is needed, and this is Int"):
        holds("!x == 2", x=1)


def test_keywords_are_no_names_but_names_may_begin_with_them() -> None:
    assert run("intent intention(orange, nothing, iffy) { verify { orange == nothing + iffy; } }", orange=3, nothing=1,
               iffy=2).ending is RunEnding.HOLDS  # fmt: skip
    with pytest.raises(AethelError, match="'guard' is not expected"):
        parse_aethel("intent f(guard) { verify { true; } }")


def test_values_before_and_after() -> None:
    source = (
        "intent f(x) { solve { y = old(x); x = x + 1; y = y + x; } verify { x == old(x) + 1; y == 2 * old(x) + 1; } }"
    )
    assert run(source, x=5).ending is RunEnding.HOLDS


def test_locals_end_with_their_intent() -> None:
    first = "intent a(x) { solve { t = x; } verify { t == x; } }"
    second = "intent b(x) { solve { x = t; } verify { true; } }"
    with pytest.raises(AethelError, match="t has no value here"):
        run(f"atomic_batch both {{ {first} {second} }}", x=1)
    third = "intent b(x) { solve { t = true; } verify { t; } }"
    assert run(f"atomic_batch both {{ {first} {third} }}", x=1).ending is RunEnding.HOLDS


def test_an_intent_of_a_batch_begins_where_the_one_before_ends() -> None:
    source = (
        "atomic_batch both { intent a(x) { guard { x > 0; } solve { x = x * 3; } verify { x > 2; } } "
        "intent b(y, x) { guard { x < 30; } solve { y = x; } verify { y == x; y == old(x); } } }"
    )
    assert run(source, x=4, y=0) == AethelRun(RunEnding.HOLDS)
    assert run(source, x=10, y=0).intent == "b"
    assert run(source, x=10, y=0).ending is RunEnding.BLOCKED
    assert run(source, x=0, y=0).ending is RunEnding.BLOCKED


def test_the_run_says_where_it_ended() -> None:
    ended = run("intent f(x) {\n  verify {\n    x / x == 1;\n  }\n}", x=0)
    assert (ended.ending, str(ended.place), ended.problem) == (RunEnding.VIOLATED, "line 3, column 7", "a divisor is 0")


def test_a_value_that_explodes_ends_the_run() -> None:
    source = "intent f(x) { solve { " + "x = x * x; " * 40 + "} verify { x > 0; } }"
    assert run(source, x=3).ending is RunEnding.TOO_LARGE


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("intent f(x) {\n verify { x < 1 < 2; } }", "line 2, column 17: '<' is not expected here. Comparisons do not"),
        ("intent f(x) { verify { x ** 2 > 1; } }", "There is no power operator"),
        ("intent f(x) { verify { x = 2; } }", "Compare with =="),
        ("intent f(x) { verify { x > 2 } }", "line 1, column 30: '}' is not expected"),
        ("intent f(x) { verify {", "ends too early"),
        ("", "ends too early"),
        ("intent f(x\u043e) { verify { true; } }", r"column 11: the character U\+043E CYRILLIC SMALL LETTER O is not"),
        ("intent f(x) { verify { x > \uff11; } }", r"U\+FF11 FULLWIDTH DIGIT ONE is not ASCII"),
        ("intent f(x) { verify { true; } } // \u202e", r"U\+202E RIGHT-TO-LEFT OVERRIDE is invisible"),
        ("intent f(x) { verify { true; } } /* \u200b */", r"U\+200B ZERO WIDTH SPACE is invisible"),
        ("intent f(x) { verify { true;\r } }", r"U\+000D is invisible"),
        ("intent f(x) { verify { " + "(" * 300, "brackets nest deeper than 200"),
        ("intent f(x) { verify { 0 == " + "-" * 300 + "0; } }", "more than 100 operators"),
        ("intent f(x) { verify { x == " + "1" * 101 + "; } }", "a number has more than 100 digits"),
        ("intent f(x) { verify { x == 01; } }", "a number begins with 0"),
        ("intent " + "f" * 65 + "(x) { verify { true; } }", "a name has more than 64"),
        ("/* intent f(x) { verify { true; } }", "a comment does not end"),
        (" " * 65_537, "the source has 65537 characters"),
    ],
)
def test_what_is_no_aethel_is_refused_with_its_place(source: str, said: str) -> None:
    with pytest.raises(AethelError, match=said):
        parse_aethel(source)


def test_comments_may_hold_any_visible_letter_and_keep_places() -> None:
    source = "// π ≥ 3\r\n# größer\n/* two\nlines */ intent f(x) { verify { y; } }"
    with pytest.raises(AethelError, match="line 4, column 33: y has no value"):
        require_meaning(parse_aethel(source))
