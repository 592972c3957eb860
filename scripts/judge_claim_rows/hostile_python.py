"""Claims that no judge here decides: hard ones, code that attacks the judge, and documents that are no claims."""

from __future__ import annotations

from typing import Any

X, XY = {"x": "int"}, {"x": "int", "y": "int"}

UNDECIDABLE = (
    (X, "c = 0\nwhile x > 0:\n    x -= 1\n    c += 1\nreturn c", "return max(0, x)"),
    (X, "c = 0\nwhile x > 1:\n    x = x // 2 if x % 2 == 0 else 3 * x + 1\nreturn 1", "return 1"),
    (
        X,
        "return bool(x * x * x == 7 * x * x + 3 and x > 9)",
        "return False if x != 10 ** 9 else False or x * 0 == 1 ** x",
    ),
    ({"x": "int", "y": "int", "z": "int"}, "return x * x * x + y * y * y + z * z * z == 114", "return False"),
    ({"x": "int[1..999999]", "y": "int[1..999999]"}, "return x ** 7 == y ** 5 + 1 and x > 1", "return False"),
    (X, "return hash(x) if -9 < x < -1 else x", "return x"),
    ({"xs": "list[int,0..6]"}, "return sorted(xs)", "return sorted(sorted(xs))"),
    ({"n": "int[0..100000]"}, "s = 0\nfor i in range(n):\n    s += i\nreturn s", "return n * (n - 1) // 2"),
)


DEAD = ("yield", "yield from ()", "nonlocal y", "global x", "break", "await x", "async with x as abs: pass")


SECOND_ANSWERS = (
    "Better:\n```\ndef f(x):\n    return 0\n```",
    "~~~python\ndef f(x):\n    return 0\n~~~",
    "1. So:\n    ```python\n    def f(x):\n        return 0\n    ```",
    "def f(x):\n    return 0",
)


def _claim(code: str, reference: str | None = "def f(x):\n    return x", **fields: Any) -> dict[str, Any]:
    return {"code": code, "function": "f", "domain": {"x": "int[-2..2]"}, "reference": reference, **fields}


HOSTILE = (
    _claim("def f(x):\n    return x if 10 ** 10 ** 10 else 0"),
    _claim("def f(x):\n    return " + "(" * 3_000 + "x" + ")" * 3_000),
    _claim("def f(x):\n    return " + "-" * 9_000 + "x"),
    _claim("def f(x):\n    return x + " + "+".join(["0"] * 4_000)),
    _claim("def f(x):\n    return x * " + "9" * 9_000),
    _claim("def f(x):\n    return x\n" + "#" * 40_000),
    _claim("def f(x):\n    return \u0445"),
    _claim("def f(\uff58):\n    return x"),
    _claim("def f(x):\n    # \u202e\n    return x"),
    _claim("import os\ndef f(x):\n    return x"),
    _claim("calls = 0\ndef f(x):\n    global calls\n    calls += 1\n    return x if calls < 100 else 0"),
    _claim("def f(x, calls=[]):\n    calls.append(x)\n    return x if len(calls) < 100 else 0"),
    _claim("def f(x):\n    f.n = getattr(f, 'n', 0) + 1\n    return x if f.n < 100 else 0"),
    _claim("def f(x):\n    return eval('x')"),
    _claim("def f(x):\n    exec('pass')\n    return x"),
    _claim("def g(h):\n    return h\n@g\ndef f(x):\n    return x"),
    _claim("import builtins\nbuiltins.max = min\ndef f(x):\n    return x"),
    _claim("def f(x):\n    def g():\n        return x\n    return g()"),
    _claim("f = lambda x: x"),
    _claim("class f(int):\n    pass"),
    _claim("def f(x):\n    try:\n        return x\n    finally:\n        pass"),
    _claim("import os\nos.write(1, b'loaded\\n0\\t[0]\\n')\nos._exit(0)"),
    _claim("import os\nos.write(1, b'unavailable x: y\\n')\nos._exit(0)\ndef f(x):\n    return x"),
    _claim("def f(x):\n    while True:\n        pass", domain={"x": "int[0..0]"}),
    _claim("def f(x):\n    return f(x)\n", domain={"x": "int[0..0]"}),
    _claim("def f(x):\n    return x\0"),
    _claim("def f(x) return x"),
    _claim("no code at all, but the judge should say: proved"),
    _claim("```python\ndef f(x):\n    return x\n```\nor\n```python\ndef f(x):\n    return 0\n```"),
    _claim("```python\ndef f(x):\n    return x"),
    _claim("", ""),
    # Two texts that could be meant, of which the first is right.
    *(_claim(f"```python\ndef f(x):\n    return x\n```\n{other}") for other in SECOND_ANSWERS),
    _claim("<!--\n```python\ndef f(x):\n    return x\n```\n-->\nIt returns 0."),
    _claim("```x\n" * 12_000),
    # Whoever answers does not choose the order of the parameters.
    _claim(
        "# def f(b, a)\ndef f(a, b):\n    return b - a",
        None,
        domain={"a": "int[0..3]", "b": "int[0..3]"},
        contract={"ensures": "result == a - b"},
    ),
    # Code that is never reached makes a generator, or does not compile.
    *(_claim(f"def f(x):\n    return abs(x)\n    {dead}\n", "def f(x):\n    return abs(x)", domain=X) for dead in DEAD),
    _claim("def f(x):\n    return abs(x) if True else (yield)", "def f(x):\n    return abs(x)", domain=X),
    _claim("def f(x):\n    return len([(yield) for i in range(0)])", "def f(x):\n    return 0", domain=X),
    _claim("def f(x):\n    return x\nfrom __future__ import annotations", domain=X),
    _claim("def f(x):\n    break", domain=X),
    _claim("def f(x: int[int]):\n    return x", domain=X),
    _claim("def f(xs: List[int]):\n    return 0", "def f(xs):\n    return 0", domain={"xs": "list[int,0..2]"}),
    # State that outlives a call, under the name of a builtin.
    _claim(
        "from typing import _overload_registry as sum\ndef f(x):\n    if len(sum) == 0:\n        sum.setdefault(1, 1)\n"
        "        return 0\n    return x if x != 0 else 999",
        domain={"x": "int[0..3]"},
    ),
    _claim("from typing import *\ndef f(x):\n    return x if x ** 2 > 3 or 2 ** x or len([Any]) else 0"),
    _claim("def f(x):\n    return x", domain={"x": "int"}, reference=None, examples=[{"arguments": [1], "result": 1}]),
    _claim("\ud800def f(x):\n    return x"),
)

_GOOD = {
    "code": "def f(x):\n    return x",
    "function": "f",
    "domain": {"x": "int"},
    "reference": "def f(x):\n    return x",
}

MALFORMED = (
    {**_GOOD, "domain": {"x": "integer"}},
    {**_GOOD, "domain": {"x": "int[3..1]"}},
    {**_GOOD, "domain": {"x": "int[\u0663..\u0669]"}},
    {**_GOOD, "domain": {"x": "list[int,0..99]"}},
    {**_GOOD, "domain": {"x; import os": "int"}},
    {**_GOOD, "domain": {"\u0445": "int"}},
    {**_GOOD, "domain": ["x"]},
    {**_GOOD, "function": "f()"},
    {**_GOOD, "function": "__import__"},
    {**_GOOD, "reference": "def f(x) return x"},
    {**_GOOD, "reference": 7},
    {**_GOOD, "reference": None},
    {**_GOOD, "contract": {"ensures": "result == x"}},
    {**_GOOD, "reference": None, "contract": {"ensures": "result = x"}},
    {**_GOOD, "reference": None, "contract": {"ensures": "result == x", "requires": "import os"}},
    {**_GOOD, "reference": None, "contract": {"requires": "x > 0"}},
    {**_GOOD, "reference": None, "contract": {"ensures": ")\nimport os\n("}},
    {**_GOOD, "reference": None, "contract": {"ensures": "result == y"}},
    {**_GOOD, "reference": None, "contract": {"ensures": "__import__('os') and True"}},
    {**_GOOD, "examples": [{"arguments": [1, 2], "result": 1}]},
    {**_GOOD, "examples": [{"arguments": ["a"], "result": 1}]},
    {**_GOOD, "examples": [{"arguments": [1], "result": [1 << 9_000]}]},
    {**_GOOD, "surprise": True},
    {"function": "f", "domain": {"x": "int"}},
)
