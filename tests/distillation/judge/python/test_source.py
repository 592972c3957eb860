"""What is read of untrusted text: one block, plain letters, a tree of bounded depth; and malformed documents."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.distillation.judge.python.claim import parse_python_claim
from nexus_chain.distillation.judge.python.errors import OutsideSubsetError, PythonClaimError
from nexus_chain.distillation.judge.python.purity import require_pure
from nexus_chain.distillation.judge.python.source import extract_code, find_function, parse_source

CODE = "def f(x):\n    return x\n"
CLAIM = {"kind": "python", "code": CODE, "function": "f", "domain": {"x": "int"}, "reference": CODE}


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (CODE, CODE),
        (f"Sure:\n```python\n{CODE}```\nand it prints\n```text\n3\n```", CODE),
        (f"```\n{CODE}```", CODE),
        (f"~~~py title=a.py\n{CODE}~~~\nIt prints\n```\n3\n```", CODE),
        (f"```Python\n{CODE}```", CODE),
        (f"```python\n{CODE}```\n".replace("\n", "\r\n"), CODE),
    ],
)
def test_the_one_block_is_taken(response: str, code: str) -> None:
    assert extract_code(response) == code


OTHER = "def f(x):\n    return 0\n"
BLOCK = f"```python\n{CODE}```\n"


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (f"{BLOCK}```py\n{CODE}```", "2 blocks"),
        (f"```python\n{CODE}", "does not end"),
        ("```\n1\n```\n```\n2\n```", "2 blocks"),
        ("``` ```", "0 blocks"),
        (f"{BLOCK}Better:\n```\n{OTHER}```", "2 blocks"),
        (f"{BLOCK}Better:\n```text\n{OTHER}```", "2 blocks"),
        (f"{BLOCK}~~~python\n{OTHER}~~~", "2 blocks"),
        (f"{BLOCK}  ```python\n{OTHER}  ```", "2 blocks"),
        (f"{BLOCK}    ```python\n{OTHER}    ```", "indented"),
        (f"{BLOCK}- ```python\n  def f(x): return 0\n", "outside"),
        (f"{BLOCK}> ```python\n> def f(x): return 0\n", "outside"),
        (f"{BLOCK}{OTHER}", "outside"),
        (f"{BLOCK}f = lambda x: 0\n", "outside"),
        (f"{BLOCK}def \\\nf(x): return 0", "outside"),
        (f"<!--\n{BLOCK}-->\nIt returns 0.", "hides"),
        (f"<!-- {CODE} -->", "hides"),
        (f"<script>\n{BLOCK}</script>", "hides"),
        (f"{BLOCK}\r```python\r{OTHER}```", "carriage return"),
        (f"{BLOCK}{' ' * 70_000}", "more than 65536"),
    ],
)
def test_a_response_that_could_mean_two_texts_is_refused(response: str, problem: str) -> None:
    with pytest.raises(OutsideSubsetError, match=problem):
        extract_code(response)


@pytest.mark.parametrize(
    "response", ["```x\n" * 12_000, "\n" * 60_000 + "```", "def " * 16_000, "`" * 60_000, "~~~ \n" * 12_000]
)
def test_hostile_responses_end(response: str) -> None:
    with contextlib.suppress(OutsideSubsetError):
        extract_code(response)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("(" * 5_000, "does not parse"),
        ("-" * 15_000 + "1", "does not parse"),
        ("[" * 90 + "]" * 90, "nests deeper"),
        ("x" + ".x" * 5_000, "does not parse|nests deeper"),
        ("x = " + "9" * 5_000, "does not parse"),
        ("x\0", "does not parse"),
        ("#" * 20_000, "more than 16384"),
        ("\u0430 = 1", "not ASCII"),
        ("x = 1 # \u202e", "invisible"),
        ("\ud800", "does not parse"),
        ("def f(x:\n", "does not parse"),
        ("x = '\\q'\nif", "does not parse"),
    ],
)
def test_bombs_and_disguises_are_refused(code: str, problem: str) -> None:
    with pytest.raises(OutsideSubsetError, match=problem):
        parse_source(code)


def test_other_alphabets_are_fine_in_comments() -> None:
    parse_source("x = 1  # größer, 大きい\n'привет'")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(OutsideSubsetError):
        require_pure(parse_source(extract_code(text)))


@pytest.mark.parametrize(
    "code",
    [
        CODE + CODE,
        CODE + "print(f(1))",
        "import os\n" + CODE,
        "from typing import Any as int\n" + CODE,
        "@staticmethod\n" + CODE,
        "async " + CODE,
        "def f(y):\n    return y",
        "def f(x, *y):\n    return x",
        "def f(*, x):\n    return x",
        "def f(x=print()):\n    return x",
        "def f(x: print()):\n    return x",
        "def f(x) -> exit():\n    return x",
        "def f(x):\n    return __builtins__",
        "g = 1\n" + CODE,
        "from typing import List as x\n" + CODE,
        "def f(x: int[int]):\n    return x",
        "def f(x: list[int][int]):\n    return x",
        "def f(x: List[int]):\n    return x\nfrom typing import List",
    ],
)
def test_only_one_plain_function_is_translated(code: str) -> None:
    with pytest.raises(OutsideSubsetError):
        find_function(parse_source(code), "f", ("x",))


UNREACHED = (
    "yield", "del abs", "import math as abs", "def abs(y):\n        return y", "class abs:\n        pass",
    "try:\n        pass\n    except ValueError as abs:\n        pass", "match x:\n        case abs:\n            pass",
    "nonlocal y", "global x", "break", "continue", "await x", "async def abs(): pass", "with x as abs:\n        pass",
    "(abs := x)", "global abs", "lambda: (yield)", "from math import *",
)  # fmt: skip


@pytest.mark.parametrize("code", UNREACHED)
def test_code_that_is_never_reached_changes_the_function_too(code: str) -> None:
    with pytest.raises(OutsideSubsetError):
        find_function(parse_source(f"def f(x):\n    return abs(x)\n    {code}\n"), "f", ("x",))


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    return abs(x) if True else (yield)",
        "def f(x):\n    return len([(yield) for i in range(0)])",
        "def f(x):\n    return abs(x)\nfrom __future__ import annotations",
        "def f(x):\n    break",
        "def f(x, x):\n    return x",
        "def f[abs](x):\n    return abs(x)",
        "return 1",
    ],
)
def test_what_does_not_compile_or_is_a_generator_is_no_function(code: str) -> None:
    with pytest.raises(OutsideSubsetError):
        find_function(parse_source(code), "f", ("x",))


@pytest.mark.parametrize(
    "code", [f"from typing import List, Optional\n{CODE}", f"from __future__ import annotations\n{CODE}"]
)
def test_names_for_annotations_may_be_imported(code: str) -> None:
    assert find_function(parse_source(code), "f", ("x",)).name == "f"
    require_pure(parse_source(code))


@pytest.mark.parametrize(
    "line",
    [
        "from typing import _overload_registry as sum", "from typing import *", "from typing import cast as len",
        "from .typing import List", "from __future__ import division as len",
    ],
)  # fmt: skip
def test_an_import_that_brings_anything_else_is_not_pure(line: str) -> None:
    with pytest.raises(OutsideSubsetError, match="beside"):
        require_pure(parse_source(f"{line}\n{CODE}"))


def test_a_claim_s_document_is_read() -> None:
    domain = {"x": "int[-8..8]", "flag": "bool", "xs": "list[int[-3..3],0..4]"}
    contract = {"requires": "x > 0", "ensures": "result >= x"}
    examples = [{"arguments": [2, True, [1]], "result": 4}]
    claim = parse_python_claim(
        {**CLAIM, "domain": domain, "reference": None, "contract": contract, "examples": examples}
    )
    assert claim.parameters == ("x", "flag", "xs")
    assert (claim.contract and claim.contract.requires, claim.examples[0].result) == ("x > 0", 4)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "text"},
        {"domain": {"x": "int[1..0]"}},
        {"domain": {"x": "list[int,0..9]"}},
        {"domain": {"result": "int"}},
        {"domain": {"class": "int"}},
        {"domain": {f"x{index}": "int" for index in range(7)}},
        {"contract": {"ensures": "True"}},
        {"examples": [{"arguments": [1.5], "result": 1}]},
        {"examples": [{"arguments": [1], "result": "1"}]},
        {"examples": [{"arguments": [1 << 9_000], "result": 1}]},
        {"examples": [{"arguments": [[1 << 9_000]], "result": 1}]},
        {"examples": [{"arguments": [1], "result": [1, 1 << 20_000]}]},
        {"code": None},
        {"function": "g\n"},
    ],
)
def test_a_malformed_document_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(PythonClaimError) as raised:
        parse_python_claim({**CLAIM, **fields})
    assert raised.value.advice


@pytest.mark.parametrize("other", ["# def f(b, a)\n", '"""def f(b, a)"""\n', ""])
def test_neither_comments_nor_texts_say_the_order_of_parameters(other: str) -> None:
    document = {**CLAIM, "domain": {"b": "int", "a": "int"}, "code": f"{other}def f(a, b):\n    return a - b\n"}
    contract = {"ensures": "result == a - b"}
    assert parse_python_claim({**document, "reference": None, "contract": contract}).parameters == ("a", "b")
    fenced = {**document, "code": f"It is `f(b, a)`.\n```python\n{document['code']}```"}
    assert parse_python_claim({**fenced, "reference": None, "contract": contract}).parameters == ("a", "b")


def test_a_reference_says_the_order_of_parameters_before_the_code_does() -> None:
    domain = {"a": "int", "b": "int"}
    sources = {"code": "def f(a, b):\n    return a", "reference": "def f(b, a: int):\n    return b"}
    assert parse_python_claim({**CLAIM, **sources, "domain": domain}).parameters == ("b", "a")
    assert parse_python_claim({**CLAIM, **sources, "reference": "def f(", "domain": domain}).parameters == ("a", "b")
