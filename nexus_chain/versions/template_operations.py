"""Operators and methods of chat templates, each paid for before it makes anything.

A method that is not in the table is not offered: most of those could make a gigabyte out of one number
(``str.center``, ``int.to_bytes``), and no known chat template uses them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from nexus_chain.versions.template_budget import COPIED, TEXT, TemplateTooCostlyError, charge, charge_copy, spend

CALL = 5  # steps of calling any function
_MOST_BITS = 4096  # of a whole number
_FIELD = 1000  # characters that a narrow field may add

METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset((
        "capitalize", "casefold", "count", "endswith", "find", "format", "format_map", "index", "isalnum", "isalpha",
        "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle",
        "isupper", "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind",
        "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title",
        "upper",
    )),
    dict: frozenset(("copy", "get", "items", "keys", "values")),
    list: frozenset(("copy", "count", "index")),
    tuple: frozenset(("count", "index")),
}  # fmt: skip

#: ``%5d`` and ``%.3f``: fields whose widths have three digits at most, and no names.
_NARROW_PERCENT = re.compile(r"[#0\- +]*\d{0,3}(?:\.\d{0,3})?[hlL]?[a-zA-Z%]")
#: ``{:5000}`` and ``{:{}}``: fields that are wide, or as wide as another field says.
_WIDE_BRACES = re.compile(r"\{[^{}]*:[^{}]*(?:\{|\d{4})")


def apply_operator(sign: str, left: Any, right: Any) -> Any:
    """``left sign right``; what it will make is paid for before it is made. Raises TemplateTooCostlyError."""
    if isinstance(left, int) and isinstance(right, int):
        return _whole_numbers(sign, left, right)
    for one in (left, right):
        charge(one) if isinstance(one, str) else charge_copy(one)
    if sign == "*":
        times, repeated = (left, right) if isinstance(left, int) else (right, left)
        if isinstance(times, int) and hasattr(repeated, "__len__"):
            spend(max(0, times) * (1 + len(repeated)) // (TEXT if isinstance(repeated, str) else COPIED))
    if sign == "%" and isinstance(left, str):
        pay_for_percent(left, right)
    return _OPERATORS[sign](left, right)


def pay_for_method(owner: Any, name: str, arguments: tuple[Any, ...]) -> None:
    """Pay for ``owner.name(*arguments)``. Raises TemplateTooCostlyError."""
    charge(arguments)
    if not isinstance(owner, str):
        charge(owner) if name in ("count", "index") else charge_copy(owner)
        return
    texts = sum(len(one) for one in arguments if isinstance(one, str))
    spend(len(owner) * (1 + texts) // TEXT)  # searching from the right compares each place with all of the text
    if name.startswith(("split", "rsplit")):
        spend(len(owner) // COPIED)
    elif name == "replace" and len(arguments) > 1 and isinstance(arguments[0], str):
        spend(owner.count(arguments[0]) * len(charge(str(arguments[1]))) // TEXT)
    elif name == "join" and arguments and hasattr(arguments[0], "__len__"):
        spend(len(arguments[0]) * len(owner) // TEXT)
    elif name in ("format", "format_map"):
        _require_narrow_braces(owner, arguments)


def pay_for_percent(text: str, values: Any) -> None:
    """Pay for ``text % values``. Raises TemplateTooCostlyError for a field that is wide, named or of any width."""
    charge(values)
    at = text.find("%")
    while at >= 0:
        found = _NARROW_PERCENT.match(text, at + 1)
        if found is None:
            raise TemplateTooCostlyError("it writes '%' with a field that has a name, or over three digits of width")
        spend(_FIELD // TEXT)
        at = text.find("%", found.end())


def _require_narrow_braces(text: str, values: tuple[Any, ...]) -> None:
    """Pay for ``text.format(*values)``. Raises TemplateTooCostlyError for a field of over three digits of width."""
    if _WIDE_BRACES.search(text):
        raise TemplateTooCostlyError("it formats a text with a field of over three digits of width")
    for _ in range(text.count("{")):
        spend(_FIELD // TEXT)
        charge(values)


def _whole_numbers(sign: str, left: int, right: int) -> Any:
    spend(1)
    bits = {"*": left.bit_length() + right.bit_length(), "**": left.bit_length() * max(1, right)}
    if max(bits.get(sign, 0), left.bit_length(), right.bit_length()) > _MOST_BITS:
        raise TemplateTooCostlyError(f"it calculates with numbers of over {_MOST_BITS} bits")
    return _OPERATORS[sign](left, right)


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "**": operator.pow, "%": operator.mod,
}  # fmt: skip
