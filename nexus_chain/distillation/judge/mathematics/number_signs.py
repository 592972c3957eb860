"""Which sign a text writes decimals with, and which one its thousands.

"1.000" is one for some readers and a thousand for others, "1,234" the other way round, and "[1,5]" has two numbers or
one. Such a number is read only where the text settles it: by a number that has one reading ("2.5", "1,234,567"), or by
English words, which settle the comma. They do not settle the point: many who write English group with points.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nexus_chain.distillation.judge.errors import MathematicsSubsetError

_NUMBER = re.compile(r"(?<![\w.,])(?:\d+(?:[.,]\d+)+|\.\d+)")
_LABEL = re.compile(
    r"(?:step|line|part|section|chapter|case|example|figure|table|version|equation|problem|question|exercise) ?\Z",
    re.IGNORECASE,
)
"""What stands before a number that is a place in a text: "Step 1.5"."""
_ENGLISH = re.compile(r"\b(?:the|answer|therefore|thus|hence|which|equals)\b", re.IGNORECASE)
_ONE_SIGN = re.compile(r"(\d*)([.,])(\d+)")
_POINT_IS_DECIMAL = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+\.\d+|[1-9]\d{0,2}(?:,\d{3}){2,}|\d*\.\d+")
_COMMA_IS_DECIMAL = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+,\d+|[1-9]\d{0,2}(?:\.\d{3}){2,}|\d+,\d+")


@dataclass(frozen=True)
class NumberSigns:
    """``point``: it is settled that points stand before decimals. ``comma``: that commas do not."""

    point: bool
    comma: bool

    @classmethod
    def of(cls, text: str) -> NumberSigns:
        """What the plain ``text`` settles (see ``characters``). Numbers that contradict each other settle nothing."""
        found = [
            (number, inside)
            for number, inside, before in _numbers(text)
            if not _has_two_readings(number, inside) and not _LABEL.search(before)
        ]
        point = any(_POINT_IS_DECIMAL.fullmatch(number) for number, _ in found)
        other = any(_COMMA_IS_DECIMAL.fullmatch(number) for number, _ in found)
        return cls(point and not other, not other and (point or _ENGLISH.search(text) is not None))

    def require_clear(self, text: str) -> None:
        """Raises MathematicsSubsetError where a number of ``text`` has two readings."""
        for number, inside, _ in _numbers(text):
            settled = (self.point or "." not in number) and (self.comma or "," not in number)
            if _has_two_readings(number, inside) and not settled:
                raise MathematicsSubsetError(f"a sign in {number!r} may stand before decimals, or between other digits")


def _numbers(text: str) -> Iterator[tuple[str, bool, str]]:
    """Each number with a sign in it, whether a bracket is open there, and what stands before it."""
    place = depth = 0
    for match in _NUMBER.finditer(text):
        between = text[place : match.start()]
        depth += sum(map(between.count, "([{")) - sum(map(between.count, ")]}"))
        place = match.start()
        yield match.group(), depth > 0, text[max(0, place - 10) : place]


def _has_two_readings(number: str, inside: bool) -> bool:
    """``inside``: within brackets, where a comma may separate two numbers as well."""
    parts = _ONE_SIGN.fullmatch(number)
    if parts is None:
        return inside and "." in number and "," in number
    if inside and parts[2] == ",":
        return True
    # No group begins with a zero, and each after the first has three digits.
    return 1 <= len(parts[1]) <= 3 and parts[1][0] != "0" and len(parts[3]) == 3
