"""Prose beside an answer: a proof needs prose that says nothing of it."""

from __future__ import annotations

import pytest

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.neutral_prose import require_undoubted, strange_prose

NAMES = frozenset("xy")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "To find the sum of the two numbers, we first add 12 and 7.",
        "Let's calculate step by step:\n\n1. 12 + 7 = 19",
        "What is 12.5 + 7? We get 19.5.",
        "## Step 1: Add both sides\n- Let t = x + 1\n**Hence** x = t - 1",
        "x = 1 or x = 2, and min(x, y) = 1",
        "Expand (x + y)*(x - y): 3xy",
        "{\\boxed{14}} \\text{is the answer}",
        "It is the sum.",
    ],
)
def test_neutral(text: str) -> None:
    assert strange_prose(text, NAMES) == ""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Hogwash.", "'Hogwash'"),
        ("Das Folgende ist gelogen.", "'Das'"),
        ("F\u0430lse", "the word"),
        ("n0t", "'n0t'"),
        ("n o t", "the letter 'n'"),
        ("N-O-T", "the letter 'N'"),
        ("N.O.T.", "the letter 'N'"),
        ("we get it or so", "the word 'or'"),
        ("there is no solution", "'no'"),
        ("This is odd.", "'odd'"),
        ("I made this up.", "'made'"),
        ("\U0001f643", "the sign"),
        ("\u00ac", "the sign"),
        ("~", "the sign '~'"),
        ("!", "a sign alone"),
        ("The sum :-)", "a face"),
        ("'The sum'", "a quotation"),
        ('"The sum"', "a quotation"),
        ("> the sum", "a quotation"),
        ("And so on...", "'...'"),
        ("Is this the sum?", "a question"),
        ("The sum is here. Is it?", "a question"),
    ],
)
def test_strange(text: str, what: str) -> None:
    assert what in strange_prose(text, NAMES)


@pytest.mark.parametrize(
    "text", ["This is a lie.", "It isn't so.", "It isn’t so.", "Suppose so.", "IF so", "He said", "Perhaps.", "Nobody"]
)
def test_prose_that_disowns_is_refused_whatever_stands_beside_it(text: str) -> None:
    with pytest.raises(MathematicsSubsetError, match="take something in it back"):
        require_undoubted(f"1 + 1 = 2\n{text}\n1 + 2 = 3", frozenset())


def test_a_variable_may_have_any_name() -> None:
    require_undoubted("false + if", frozenset({"false", "if"}))
    assert strange_prose("false + hogwash", frozenset({"false", "hogwash"})) == ""
