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
        ("So the total is 14.", "14"),
        ("12 + 7 - 5 = \\boxed{14}\n#### 14", "12 + 7 - 5 = 14"),
        ("We have 2x = 4, so $x = \\boxed{2}$.", "x = 2"),
        ("The total = \\boxed{14}", "14"),
        ("Step 1.5", "Step 1.5"),
        ("Twice the total = 14", "Twice the total = 14"),
        ("total - 1 = 14", "total - 1 = 14"),
    ],
)
def test_final_answer(text: str, answer: str) -> None:
    assert read_response(text).answer == answer


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (r"\boxed{14} or \boxed{15}", "may belong to the answer"),
        ("The answer is 14.\n#### 15", "may be another one"),
        ("#### 14\nThe answer is y = 14", "may be another one"),
        ("#### total\nThe answer is count", "more than one"),
        ("A liar would say: the answer is 14.", "take something"),
        ("My pupil wrote:\n#### 14", "take something"),
        ("If all were well,\n#### 14", "take something"),
        ("> \\boxed{14}", "quoted"),
        ("The answer is 14.\n15", "may be another one"),
        ("The answer is 14. Scratch that.", "take it back"),
        (r"\boxed{14} thousand", "may belong to the answer"),
        (r"\boxed{14}!", "may belong to the answer"),
        (r"Twice \boxed{14}", "words before"),
        (r"The total - 1 = \boxed{14}", "may belong to the answer"),
        (r"2 \times \boxed{14}", "may belong to the answer"),
        (r"~~\boxed{14}~~", "stroke"),
        ("<del>14</del>", "tag"),
        ('<p hidden="true">14', "tag"),
        (r"The answer is $14 \to 15$", "not in the subset"),
        (r"The answer is $14 \Rightarrow 15$", "arrow"),
        ("13 → 14", "arrow"),
        ("15\n14", "two values"),
        ("x = 15\nx = 14", "two values"),
        ("12\n+ 2", "may go on"),
        ("12 -\n2", "may go on"),
        (r"\sqrt16", "the first one only"),
        ("The answer is not 14.", "take something"),
        ("The answer isn't 14.", "take something"),
        ("The answer was 15. The answer is 14.", "not read"),
        (r"It is wrong that \boxed{14}", "take something"),
        ("<!-- \\boxed{14} -->", "comment"),
        ("15 % \\boxed{14}", "comment"),
        ("```\n14\n```", "code"),
        (r"\phantom{\boxed{14}}", "phantom"),
        (r"\boxed{14", "not closed"),
        ("The answer is 14!", "factorial"),
        ("- 14", "two things"),
        ("The answer is 14. Wait, it is 15.", "take it back"),
        ("The answer is about 14.", "take something"),
        ("#### 14\n" * 21, "more than 20 times"),
        ("x" * 20_001, "longer than"),
        ("If x = 3 then x > 2.\n#### 14", "take something"),
        ("The following is a lie. 2 + 2 = 4", "take something"),
        ("It is false that I can add.\n\nHere it is.\n\n2 + 2 = 4", "take something"),
        ("Nobody would say that: 3 * 3 = 9", "take something"),
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
        ("12 apples + 7 = 19\n#### 14", [], ["12", "+ 7 = 19"]),
        ("12 + 7 gives 20 and 20 - 5 gives 14.\n#### 14", [], ["12 + 7", "20 and 20 - 5", "14"]),
        ("1 = 1" + " " * 19_900 + "2x\n#### 14", ["1 = 1 2x"], []),
        ("- 12 + 7 = 19\n#### 14", [], ["- 12 + 7 = 19"]),
        ("x = 1 or x = 2\n#### 14", ["x = 1 or x = 2"], []),
        ("a train: 3 = 3 a day\n#### 14", ["3 = 3"], []),
    ],
)
def test_steps(text: str, steps: list[str], unread: list[str]) -> None:
    response = read_response(text)
    assert (list(response.steps), list(response.unread)) == (steps, unread)


@pytest.mark.parametrize(
    ("text", "certain"),
    [("14", True), ("Here we go.\n14", True), ("2x = 28\nx = 14", False), ("2 = 2 → 14 = 14", False)],
)
def test_a_last_line_among_others_is_no_certain_answer(text: str, certain: bool) -> None:
    assert read_response(text).is_certain is certain
