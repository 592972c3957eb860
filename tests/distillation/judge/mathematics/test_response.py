"""Which text is the final answer, and which are the steps."""

from __future__ import annotations

import pytest

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.response import read_response


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("14", "14"),
        ("14.", "14"),
        ("  x = 14 ", "x = 14"),
        (r"Thus $\boxed{14}$.", "14"),
        (r"\boxed{\frac{1}{2}}", r"\frac {1}{2}"),
        (r"The answer is \boxed{14}.", "14"),
        ("some words\n#### 1,234", "1,234"),
        ("The answer is 3.5. That was easy.", "3.5"),
        ("So, the final answer is: -3", "-3"),
        ("**Answer:** 14", "14"),
        ("12 + 2 = 14", "12 + 2 = 14"),
        ("So we get 12 + 2 = 14.", "12 + 2 = 14"),
        ("Total = 14", "14"),
        ("Because 12 + 2 is the sum,\nx = 14", "x = 14"),
        ("#### 14\nThe answer is 14", "14"),
    ],
)
def test_final_answer(text: str, answer: str) -> None:
    assert read_response(text).answer == answer


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (r"\boxed{14} or \boxed{15}", "more than one"),
        ("The answer is 14.\n#### 15", "more than one"),
        ("The answer is not 14.", "denies"),
        ("The answer isn't 14. The answer was 15.", "not read"),
        (r"It is wrong that \boxed{14}", "denies"),
        ("<!-- \\boxed{14} -->", "comment"),
        ("15 % \\boxed{14}", "comment"),
        ("```\n14\n```", "code"),
        (r"\phantom{\boxed{14}}", "phantom"),
        (r"\boxed{14", "not closed"),
        ("The answer is 14!", "factorial"),
        ("- 14", "two things"),
        ("The answer is 14. Wait, it is 15.", "take it back"),
        ("The answer is about 14.", "denies"),
        ("#### 14\n" * 21, "more than 20 times"),
        ("x" * 20_001, "longer than"),
    ],
)
def test_no_single_answer(text: str, why: str) -> None:
    with pytest.raises(MathematicsSubsetError, match=why):
        read_response(text)


@pytest.mark.parametrize(
    ("text", "steps", "unread"),
    [
        ("Step 1: 12 + 7 = 19\n2. 19 - 5 = 14\n#### 14", ["12 + 7 = 19", "19 - 5 = 14"], []),
        ("We have 12 + 7 = 19, so 19 - 5 = 14.\n#### 14", ["12 + 7 = 19", "19 - 5 = 14"], []),
        (r"$12 \times 2 = 24$ \\ $24 = 24$" + "\n#### 14", ["12 * 2 = 24", "24 = 24"], []),
        ("12 apples + 7 = 19\n#### 14", [], ["+ 7 = 19"]),
        ("If x = 3 then x > 2\n#### 14", [], ["If x = 3 then x > 2"]),
        ("- 12 + 7 = 19\n#### 14", [], ["- 12 + 7 = 19"]),
        ("x = 1 or x = 2\n#### 14", ["x = 1 or x = 2"], []),
        ("a train: 3 = 3 a day\n#### 14", ["3 = 3"], []),
    ],
)
def test_steps(text: str, steps: list[str], unread: list[str]) -> None:
    response = read_response(text)
    assert (list(response.steps), list(response.unread)) == (steps, unread)
