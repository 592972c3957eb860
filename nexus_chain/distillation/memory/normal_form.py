"""When two texts are the same text, and when two numbers in them make them two.

The normal form of a text:

1. superscript digits become ``^`` and digits: NFKC alone would read 10² as 102;
2. Unicode NFKC: full-width letters, ligatures and other spellings of one character become one;
3. lines end with a line feed;
4. code (category ``code``) keeps its case and its indentation and loses white space at the ends of lines and empty
   lines at both ends; any other text is case-folded, and each run of white space becomes one space.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import NamedTuple

CODE = "code"
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_LINE_ENDS = re.compile(r"\r\n?")
_TRAILING = re.compile(r"[^\S\n]+$", re.MULTILINE)


def normal_form(text: str, category: str) -> str:
    """The normal form of ``text`` by the rules above."""
    if not text.isascii():
        text = _RAISED.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPTS), text)
        text = unicodedata.normalize("NFKC", text)
    if category == CODE:
        return _TRAILING.sub("", _LINE_ENDS.sub("\n", text)).strip("\n")
    return " ".join(text.casefold().split())


class NormalTexts(NamedTuple):
    """An example's texts in normal form."""

    prompt: str
    response: str
    category: str

    @classmethod
    def of(cls, prompt: str, response: str, category: str) -> NormalTexts:
        """The normal form of both."""
        return cls(normal_form(prompt, category), normal_form(response, category), category)

    @property
    def hash(self) -> str:
        """SHA-256, in hexadecimal, of both texts with a NUL between: no example holds a NUL."""
        return sha256(f"{self.prompt}\0{self.response}".encode()).hexdigest()
