"""The final answer in a text, in one spelling, so that equal answers are equal strings.

It serves agreement only, and proves nothing: what is right is the judge's to say.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation

_BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}")
_MARKS = (re.compile(r"####"), re.compile(r"\banswer\s*(?:is\b\s*:?|:|=)"))
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?\Z")
_EDGES = " \t.,;:!?*`\"'$()"
_LONGEST_NUMBER = 1_000
"""Digits; longer ones stay as they are written."""


def final_answer(text: str) -> str:
    r"""What stands last in ``\boxed{}``, after ``####``, or after "answer is" or "answer:"; else the whole text.

    In lower case, in one form of Unicode, decimal digits of every script as 0 to 9, one space between words, and
    numbers without separators of thousands and without zeros that mean nothing.
    """
    plain = _digits(unicodedata.normalize("NFC", text)).casefold()
    return _one_spelling(_last_marked(plain) or plain)


def _last_marked(plain: str) -> str:
    """The last answer that is marked as one, or nothing."""
    if boxed := _BOXED.findall(plain):
        return str(boxed[-1])
    for mark in _MARKS:
        if found := list(mark.finditer(plain)):
            return plain[found[-1].end() :].lstrip().partition("\n")[0]
    return ""


def _digits(text: str) -> str:
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(character, character)) for character in text)


def _one_spelling(text: str) -> str:
    words = " ".join(text.replace("\u2212", "-").split()).strip(_EDGES)
    return _number(words) if len(words) <= _LONGEST_NUMBER and _NUMBER.match(words) else words


def _number(words: str) -> str:
    try:
        value = Decimal(words.replace(",", ""))
    except InvalidOperation:
        return words
    plain = format(value, "f")
    short = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if short in ("-0", "") else short
