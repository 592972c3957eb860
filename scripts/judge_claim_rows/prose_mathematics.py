"""Answers with prose around them: response, what is expected, domain.

Prose may take back what stands beside it, in another sentence too, so only neutral prose stands beside a proof.
"""

from __future__ import annotations

from scripts.judge_claim_rows.mathematics import Q, Z

_SUM = "12+7-5"


def _of_the_sum(*responses: str) -> list[tuple[str, str, str]]:
    return [(response, _SUM, Z) for response in responses]


NEUTRAL = (
    *_of_the_sum(
        "To find the sum of 12, 7 and -5, we first add 12 and 7.\n12 + 7 = 19\nNext, we subtract 5.\n"
        "19 - 5 = 14\nThe answer is 14.",
        "Let's calculate step by step:\n\n1. 12 + 7 = 19\n2. 19 - 5 = 14\n\nTherefore, the final answer is **14**.",
        "What is 12 + 7 - 5? The answer is 14.",
        "We can add the two numbers: 12 + 7 = 19. Then 19 - 5 = 14.\n\n\\boxed{14}",
        "## Step 1: Add\n12 + 7 = 19\n## Step 2: Subtract\n19 - 5 = 14\n\nThe final answer is: $\\boxed{14}$",
        "To solve this expression, we need to follow the order of operations.\n\n12 + 7 = 19\n\n#### 14",
        "I add the digits in each column, and carry 1.\n#### 14",
    ),
    ("We expand (x + 1)^2 using the formula.\n\\boxed{x^2 + 2x + 1}", "(x+1)^2", Z),
    ("To isolate x, subtract 3 from both sides and divide by 2.\n2x = 4\nThe answer is x = 2.", "2*x+3 = 7", Z),
)
"""True, and read."""

OTHER = (
    *_of_the_sum(
        "Tom has 12 apples. He gets 7 apples and eats 5.\n12 + 7 - 5 = 14\n#### 14",
        "Great question! I would be glad to add these.\n#### 14",
        "Die Summe ist leicht.\n#### 14",
        "The answer is 14. I hope this helps.",
        "12 + 7 makes 19, which is odd.\n#### 14",
        "This is easier than it looks.\n#### 14",
    ),
    ("a" * 19_000 + "\n#### 14", _SUM, Z),
)
"""True for a person. The judge reads no free prose, and so it does not know."""

DISOWNED = (
    *_of_the_sum(
        "The following is a lie. 12+7-5 = 14",
        "The following is a lie.\n12+7-5 = 14",
        "Nobody would say that: 12+7-5 = 14",
        "Nobody would say that:\n\n12+7-5 = 14",
        "It is false that I can add. Here is my work. 12+7-5 = 14",
        "It is false that I can add.\n\nHere it is.\n\nThe answer is 14.",
        "Everything below is untrue.\n\nStep 1: 12 + 7 = 19\n\n#### 14",
        "Suppose that sums are differences.\n\nThen we get this.\n\n#### 14",
        "If I were wrong, this is what I would write.\n\nStep 1: add.\n\n\\boxed{14}",
        "My neighbour says this.\n\nHere it is.\n\n#### 14",
        "I read this on a wall.\n\n#### 14",
        "Opposite day!\n\n#### 14",
        "Hogwash follows.\n\n#### 14",
        "For the sake of argument:\n12+7-5 = 14",
        "Perhaps one adds here.\n\n#### 14",
        "I don't trust any of this.\n\n#### 14",
        "This has a problem.\n\n#### 14",
        "I made this up.\n\n#### 14",
        "Das Folgende ist gelogen.\n\n#### 14",
        "Ce qui suit est faux.\n\n#### 14",
        "T h i s  i s  f a l s e\n\n#### 14",
        "N-O-T:\n\n#### 14",
        "f4lse\n\n#### 14",
        "F\u0430lse\n\n#### 14",
        "\U0001f643\n\n#### 14",
        "\u00ac\n#### 14",
        "Is this the answer?\n\n#### 14",
        "'The sum'\n\n#### 14",
        "There is no solution.\n\n#### 14",
        "The answer is 14. A child told me.",
        "The answer is 14. Let me write the correct result next.",
        "The answer is 14. Or so we get.",
        "The answer is 14 :-P",
        "The answer is 14. ;)",
        "#### 14\n\n(made up)",
    ),
)
"""The prose takes the answer back, doubts it, supposes it or leaves it to somebody else: none is given."""

DISOWNED_FALSE = _of_the_sum(
    "The following is a lie.\n12+7-5 = 15",
    "Suppose that sums are differences.\n\nThen we get this.\n\n#### 15",
    "My neighbour says this.\n\nHere it is.\n\n#### 15",
    "I don't trust any of this.\n\n#### 15",
)
"""A false answer that the prose takes back is none either."""

FALSE = _of_the_sum(
    "To find the sum of 12, 7 and -5, we first add 12 and 7.\n12 + 7 = 19\n\n#### 15",
    "What is 12 + 7 - 5? The answer is 15.",
    "Tom has 12 apples. He gets 7 apples and eats 5.\n#### 15",
    "Great question!\n#### 15",
    "Ce calcul est simple.\n#### 15",
)
"""False, and nothing takes it back: whatever else the prose says, the answer is refuted."""

SIGNS_TRUE = (
    ("The answer is 1,234.", "1234", Z),
    ("Therefore, the total is 12,345.", "12345", Z),
    ("1,234,567", "1234567", Z),
    ("0.125", "1/8", Q),
    ("1234.567", "1234567/1000", Q),
    ("2.5 + 0.642 = 3.142", "2.5 + 0.642", Q),
    ("We add 1.5 and 1.642.\nThe answer is 3.142.", "1.5 + 1.642", Q),
    ("The answer is {1,5}.", "{5, 1}", Z),
)
"""Their text settles which sign stands before decimals."""

SIGNS_FALSE = (
    ("The answer is 1,250.", "5/4", Q),
    ("0.125", "125", Q),
    ("2.5 + 0.641 = 3.142", "2.5 + 0.641", Q),
    ("1,234,567", "1234568", Z),
)

SIGNS_UNSETTLED = (
    ("1.000", "1", Q),
    ("1.000", "1000", Q),
    ("The answer is 1.000", "1", Q),
    ("The answer is 1.000", "1000", Q),
    ("The answer is 2.500 thousand", "2500", Q),
    ("3.142", "3.142", Q),
    ("3.142", "3142", Q),
    ("1,234", "1234", Q),
    ("1,234", "1.234", Q),
    ("Total = 1,234", "1234", Q),
    ("Die Antwort: 1,234", "1.234", Q),
    ("1,5", "1.5", Q),
    ("1,5", "15", Q),
    ("0,125", "0.125", Q),
    ("0,125", "125", Q),
    ("x = 0,5\nThe answer is 1.000", "1", Q),
    ("x = 0,5\nThe answer is 1,000", "1000", Q),
    ("1.234.567 is the sum.\nThe answer is 2.500", "2.5", Q),
    ("1.234,50", "1234.5", Q),
    ("[1,5]", "[1, 5]", Z),
    ("[1,5]", "[3/2]", Q),
    ("{1,5}", "{1, 5}", Z),
    ("[1.234, 5]", "[1234, 5]", Q),
    ("12.500%", "1/8", Q),
    ("1.000*x", "x", Q),
    ("1.000*x", "1000*x", Q),
    ("max(5,1.000)", "5", Q),
    ("1 000", "1000", Z),
    ("1'000", "1000", Z),
    ("Step 1.5\nThe answer is 1.000", "1", Q),
)
"""Nobody can say which number they mean."""
