"""Labelled claims of mathematics: true, false, hard, hostile. Their labels are ours, and no judge made them.

Where a claim is made by a rule, its label follows from the rule: a sum of integers that Python adds, an identity and
its neighbour with one sign changed. ``decidable``: the judge is expected to say so; without it, it may be unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.judge_claim_rows import attacked_mathematics, hostile_mathematics, prose_mathematics
from scripts.judge_claim_rows.mathematics import FALSE, HARD, OUTSIDE, REASONING, TRUE, UNREADABLE, VACUOUS

ORIGIN = "written for this project"
Row = tuple[str, str, Mapping[str, str] | str]
"""Response, what is expected, and the domain."""


def claims() -> list[dict[str, Any]]:
    """Every claim, in the same order each time, as ``{id, kind, claim, label, decidable, origin}``."""
    found = [*_written(), *_sums(), *_products(), *_powers(), *_reasoning(), *_hostile(), *_attacks(), *_prose()]
    numbered = []
    for number, (claim, label, decidable, origin) in enumerate(found, 1):
        body = {"kind": "mathematics", **claim}
        numbered.append(
            {
                "id": f"mathematics-{number:03}",
                "kind": "mathematics",
                "claim": body,
                "label": label,
                "decidable": decidable,
                "origin": origin,
            }
        )
    return numbered


Labelled = tuple[dict[str, Any], str, bool, str]


def _claim(row: Row, scope: str = "answer") -> dict[str, Any]:
    response, expected, domain = row
    return {"response": response, "expected": expected, "domain": domain, "scope": scope}


def _written() -> Iterator[Labelled]:
    for rows, label, decidable, origin in (
        (TRUE, "true", True, ORIGIN),
        (FALSE, "false", True, ORIGIN),
        (VACUOUS, "vacuous", False, ORIGIN),
        (UNREADABLE, "malformed", False, ORIGIN),
        (OUTSIDE, "undecidable", False, ORIGIN),
    ):
        for row in rows:
            yield _claim(row), label, decidable, origin
    for row, label, origin in HARD:
        yield _claim(row), label, False, origin


def _sums() -> Iterator[Labelled]:
    """Chains of integers: the sum, and what is one beside it."""
    origin = f"{ORIGIN}, after the chain sums of reasoning-gym"
    for seed in range(1, 21):
        terms = [seed * 37 % 101, -(seed * 53 % 89), seed * 71 % 97, -(seed * 17 % 41)][: 2 + seed % 3]
        expected = str(terms[0]) + "".join(f" {'-' if term < 0 else '+'} {abs(term)}" for term in terms[1:])
        marks = (f"The answer is {sum(terms)}.", f"\\boxed{{{sum(terms)}}}", f"#### {sum(terms)}", f"{sum(terms)}")
        yield _claim((marks[seed % 4], expected, "integers")), "true", True, origin
        wrong = sum(terms) + (1 if seed % 2 else -1)
        yield _claim((f"The answer is {wrong}.", expected, "integers")), "false", True, f"{origin}; off by one"


def _products() -> Iterator[Labelled]:
    """``(x + a)(x + b)`` multiplied out, and with one sign changed."""
    for a in range(1, 9):
        b = (a * 5) % 11 - 4
        form = f"x^2 + ({a + b})*x + ({a * b})"
        yield _claim((form, f"(x + {a})*(x + ({b}))", "integers")), "true", True, f"{ORIGIN}; multiplied out"
        wrong = f"x^2 - ({a + b})*x + ({a * b})" if a + b else f"x^2 + ({a * b + 1})"
        yield _claim((wrong, f"(x + {a})*(x + ({b}))", "integers")), "false", True, f"{ORIGIN}; one sign"


def _powers() -> Iterator[Labelled]:
    """Powers, remainders and common divisors of numbers."""
    for n in range(2, 10):
        yield _claim((f"{n**n}", f"{n}^{n}", "integers")), "true", True, ORIGIN
        yield _claim((f"{n**n % 7}", f"{n}^{n} % 7", "integers")), "true", True, ORIGIN
        yield _claim((f"{(n**n + 1) % 7}", f"{n}^{n} % 7", "integers")), "false", True, f"{ORIGIN}; off by one"


def _reasoning() -> Iterator[Labelled]:
    for row, label, decidable in REASONING:
        yield _claim(row, "reasoning"), label, decidable, ORIGIN


def _hostile() -> Iterator[Labelled]:
    for row, label, decidable, what in hostile_mathematics.ROWS:
        yield _claim(row), label, decidable, f"{ORIGIN}; hostile: {what}"


def _attacks() -> Iterator[Labelled]:
    """Claims that an earlier judge got wrong."""
    for row, scope, what in attacked_mathematics.UNKNOWN:
        yield _claim(row, scope), "undecidable", False, f"{ORIGIN}; attack: {what}"
    for row, scope, label, what in attacked_mathematics.DECIDED:
        yield _claim(row, scope), label, True, f"{ORIGIN}; attack: {what}"


def _prose() -> Iterator[Labelled]:
    """Prose around an answer, and numbers whose sign has two readings."""
    rows = prose_mathematics
    for found, label, decidable, what in (
        (rows.NEUTRAL, "true", True, "neutral prose"),
        (rows.OTHER, "true", False, "prose that is not read"),
        (rows.DISOWNED, "undecidable", False, "prose that takes the answer back"),
        (rows.DISOWNED_FALSE, "undecidable", False, "prose that takes a false answer back"),
        (rows.FALSE, "false", True, "a false answer beside prose"),
        (rows.SIGNS_TRUE, "true", True, "a settled sign in a number"),
        (rows.SIGNS_FALSE, "false", True, "a settled sign in a number"),
        (rows.SIGNS_UNSETTLED, "undecidable", False, "a number with two readings"),
    ):
        for row in found:
            yield _claim(row), label, decidable, f"{ORIGIN}; {what}"
