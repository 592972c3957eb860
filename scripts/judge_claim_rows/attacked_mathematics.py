"""Claims with which a reader misled an earlier judge: response, what is expected, domain, scope, and the trick.

Nobody can be certain which answer each means, or whether it is one: the judge has to say that it does not know.
"""

from __future__ import annotations

from scripts.judge_claim_rows.mathematics import N, Q, R, Z

_SUM = "12+7-5"


def _of_the_sum(what: str, *responses: str) -> list[tuple[tuple[str, str, str], str, str]]:
    return [((response, _SUM, Z), "answer", what) for response in responses]


UNKNOWN = (
    *_of_the_sum(
        "an equation about something else",
        "The answer is 2x = 14",
        "x + 1 = 14",
        "So -x = 14",
        "3 = 14",
        "13.6 = 14",
        "total ≈ 13.6 = 14",
        "12+7-5 = 19 - 5 = 15 = 14",
        "The answer is 3 = 14.",
    ),
    *_of_the_sum(
        "words before the sign of equality",
        "2 × total = 14",
        "Twice the total = 14",
        "So minus the result = 14.",
        "total - 1 = 14",
        "So total - 1 = 14",
        "total + 1 = 14",
        "12+7-5 plus 1 = 14",
        "1/7 of it = 14",
        "I doubt that the total = 14.",
        "It is far from true that x = 14",
        "Nobody sane would claim 12+7-5 = 14",
        "Suppose x = 14",
        "If only the sum were = 14",
    ),
    *_of_the_sum(
        "an answer taken back",
        "The answer is 14. Hmm, on second thought it is 15.",
        "The answer is 14. Scratch that: 15.",
        "The answer is 14.\n\n15",
        "\\boxed{14} \\\\ 15",
        "\\boxed{14} + 1",
        "2 \\times \\boxed{14}",
        "The result is 15, ~~\\boxed{14}~~",
        "<del>\nThe answer is 14\n</del>\nit is fifteen",
        "<s>The answer is 14</s>",
        "A liar would say: the answer is 14.",
        "> The answer is 14\n\nThat was my classmate's claim; I get 15",
        "x = 15\nx = 14",
        "15\n14",
    ),
    *_of_the_sum(
        "a unit or a condition beside the answer",
        "\\boxed{14}\nthousand",
        "The answer is 14. It is in thousands",
        "Were I drunk, I would say\n#### 14",
        "Is the total 14",
    ),
    (("The answer is x.\nThe real one: y", "x", {"x": Z, "y": Z}), "answer", "an answer taken back"),
    (("x ≤ 1/2 and x ≥ 1/2", "2x=1", Z), "answer", "a solution outside of the domain"),
    (("1/2 ≤ x ≤ 1/2", "2x=1", Z), "answer", "a solution outside of the domain"),
    (("0^0", "1", Z), "answer", "zero to the power of zero"),
    *_of_the_sum(
        "an arrow after the answer",
        "The answer is 14 → 15",
        "The answer is $14 \\Rightarrow 15$",
        "#### 14 → 15",
        "\\boxed{14 \\to 15}",
        "13 → 14",
    ),
    *_of_the_sum("a check after the answer", "12+7-5 = 14\nCheck: 14 + 5 = 19", "12+7-5 = 14\n14 + 5 = 19"),
    (("x = 2 or x = -2 or x = 1/2", "x^2 = 4", Z), "answer", "a solution outside of the domain"),
    (("{2, -2, 1/2}", "x^2 = 4", Z), "answer", "a solution outside of the domain"),
    (("x = 2 or x = -2 or 1/2 = x", "x^2 = 4", Z), "answer", "a solution outside of the domain"),
    (("x = 2 or x = -2", "x^2 = 4", N), "answer", "a solution outside of the domain"),
    (("x = 2 or x = 1000", "x^2 = 4", "0..100"), "answer", "a solution outside of the domain"),
    (("x = 1/2", "2x = 1", Z), "answer", "a solution outside of the domain"),
    (("x = 2 or 2x = 1", "x = 2", Z), "answer", "a solution outside of the domain"),
    (("no real solutions", "x^2 = 2", Z), "answer", "real solutions over the integers"),
    (("no real solution", "x^2 = 2", Z), "answer", "real solutions over the integers"),
    (("[1, 3]", "x = 1 or x = 3", Z), "answer", "an interval or a list"),
    (("(1, 2)", "x = 1 or x = 2", Z), "answer", "an interval, a point or a list"),
    (("[1, 2]", "1 ≤ x and x ≤ 2", Z), "answer", "an interval or a list"),
    (("12+7 gives 20 and 20-5 gives 14.\n14 = 14\nThe answer is 14", _SUM, Z), "reasoning", "a step in prose"),
    (("12 plus 7 is 20, minus 5 is 14. 1 = 1\nThe answer is 14", _SUM, Z), "reasoning", "a step in prose"),
    (("1/0 = 2^4000*2^4000\nThe answer is 15/1 =", _SUM, Z), "reasoning", "a number too large to show"),
    (("  12\n+ 2", "2", Z), "answer", "a sum over two lines"),
    (("7\n* 2", "2", Z), "answer", "a product over two lines"),
    (("12\n-2", "-2", Z), "answer", "a difference over two lines"),
    (("12 -\n2", "2", Z), "answer", "a difference over two lines"),
    (("Step 1.5", "5", Z), "answer", "a number that looks like a step's"),
    (("\\boxed{\\sqrt16}", "4", Z), "answer", "a root of one digit"),
    (("|x|y|z|", "abs(x)*y*abs(z)", Z), "answer", "bars with two partners"),
    (("50\\% x", "50 mod x", "1..10"), "answer", "a percentage as a remainder"),
    (("2, 1", "1, 2", Z), "answer", "an order that nobody asks for"),
    (("x = 2, x = 1", "1, 2", Z), "answer", "an order that nobody asks for"),
    (("x + x^0", "x + 1", Z), "answer", "zero to the power of zero"),
    (("x^0*x", "x", R), "answer", "zero to the power of zero"),
    (("25%", "25", Q), "answer", "a percentage or its number"),
    (("50", "50%", Q), "answer", "a percentage or its number"),
    (("1^" + "9" * 300, "1", Z), "answer", "an enormous exponent"),
    (("(-1)^(2^4000)", "1", Z), "answer", "an enormous exponent"),
    (("0^(2^4000)", "0", Z), "answer", "an enormous exponent"),
    (("1 = 1" + " " * 19_900 + "2x\nThe answer is 1", "1", Z), "reasoning", "a long space within a step"),
)

DECIDED = (
    (("It is the same as \\boxed{2(x + 1)}", "2x + 2", Z), "answer", "true", "plain words before a box"),
    (("Thus 12 + 7 - 5 = \\boxed{14}.", _SUM, Z), "reasoning", "true", "a box at the end of a chain"),
    (("\\boxed{2³²}", "4294967296", Z), "answer", "true", "superscripts side by side"),
    (("2³²", "64", Z), "answer", "false", "superscripts side by side"),
    (("x²³", "x^6", Z), "answer", "false", "superscripts side by side"),
    (("1/0 = 2^4000*2^4000\nThe answer is 14", _SUM, Z), "reasoning", "false", "a number too large to show"),
    (("12 + 7 - 5 = \\boxed{14}", _SUM, Z), "answer", "true", "a box at the end of a chain"),
    (("12+7-5 = 19 - 5 = 14", _SUM, Z), "answer", "true", "a chain"),
    (("So the total is 14.", _SUM, Z), "answer", "true", "a plain answer"),
    (("no real solutions", "x^2 = -1", R), "answer", "true", "real solutions over the reals"),
    (("|x| + |y|", "abs(x) + abs(y)", Z), "answer", "true", "bars with one partner each"),
    (("1, 3", "1, 2", Z), "answer", "false", "another list, in whatever order"),
)
