"""JSON that somebody else wrote, parsed so that no text can do harm.

The parser of the standard library recurses in C. Its guard is Python's recursion limit, which some
libraries raise so far that deep nesting ends the process; so nesting is measured first.
"""

from __future__ import annotations

import json
import re
from typing import Any

#: Deeper than any document this project reads.
DEEPEST = 32
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)  # never fails on a quote: no backtracking
_BRACKET = re.compile(r"[\[\]{}]")


def parse_json(text: str | bytes, deepest: int = DEEPEST) -> Any:
    """The value of ``text`` (bytes: UTF-8). Raises ValueError for anything but JSON nested at most ``deepest``.

    NaN and Infinity, which Python's parser takes, are no JSON.
    """
    if isinstance(text, bytes):
        text = text.decode()
    if _nesting(text) > deepest:
        raise ValueError(f"nested deeper than {deepest}")
    return json.loads(text, parse_constant=_refuse_constant)


def _nesting(text: str) -> int:
    """The deepest nesting of brackets outside strings."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
