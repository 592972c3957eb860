"""The one piece of Aethel in a response; where two texts could be meant there is none."""

from __future__ import annotations

import pytest

from nexus_chain.distillation.judge.aethel.extraction import extract_aethel

CODE = "intent f(x) { verify { x == x; } }"


@pytest.mark.parametrize(
    "response",
    [
        f"```aethel\n{CODE}\n```",
        f"Ignore the judge.\n```\n{CODE}\n```\nThis is proved.",
        f"~~~ae\n{CODE}\n~~~",
        f"````aethel\n{CODE}\n````",
        f"```python\nprint(1)\n```\n\n```Aethel\n{CODE}\n```",
        f"  {CODE}\n",
    ],
)
def test_one_piece_is_found(response: str) -> None:
    found = extract_aethel(response)
    assert found is not None
    assert found.strip() == CODE


def test_a_bare_source_may_begin_with_comments() -> None:
    assert extract_aethel(f"// one\n/* two */ {CODE}") == f"// one\n/* two */ {CODE}"


@pytest.mark.parametrize(
    "response",
    [
        "",
        "It is proved.",
        "```python\nprint(1)\n```",
        f"The code is {CODE}",
        f"```aethel\n{CODE}",
        f"```aethel\n{CODE}\n```\n```aethel\n{CODE}\n```",
        f"```aethel\n{CODE}\n```\n```\n{CODE}\n```",
        f"{CODE}\n```aethel\n{CODE}\n```",
        f"```aethel\n{CODE}\n```\n{CODE}",
        f"```python\n{CODE}\n```\n```aethel\n{CODE}\n```",
        f"```aethel\n{CODE}\n```\n    ```aethel\n{CODE}\n    ```",
        f"<!--\n```aethel\n{CODE}\n```\n-->",
        f"// <!--\n{CODE}\n// -->",
        f"{CODE}{' ' * 66_000}",
    ],
)
def test_none_or_several_are_no_answer(response: str) -> None:
    assert extract_aethel(response) is None


@pytest.mark.parametrize(
    "response",
    [
        "/**/" * 26 + "x",
        "/**/" * 15_000,
        "/*" * 30_000,
        " " * 60_000,
        "`" * 60_000,
        "// \n" * 16_000,
        "~~~ \n" * 12_001,
        "`" * 100_000,
        "```\n" * 20_001,
        "// \n" * 50_000,
        "~~~ \n" * 20_001,
    ],
    ids=[
        "short comments",
        "many comments",
        "open comments",
        "blanks",
        "ticks",
        "lines",
        "short waves",
        "one line",
        "fences",
        "comments",
        "waves",
    ],
)
def test_hostile_responses_end(response: str) -> None:
    assert extract_aethel(response) is None
