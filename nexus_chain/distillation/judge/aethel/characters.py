"""What stands in a source before it is read: characters that lie about what they are, and comments.

A letter of another alphabet can look like one of ours, and a character without width or with a direction makes a
reader see another text than the parser. So everything outside of comments is ASCII, and comments hold nothing that
is invisible.
"""

from __future__ import annotations

import re
import unicodedata

from nexus_chain.distillation.judge.aethel.syntax import LARGEST_SOURCE, SourcePlace
from nexus_chain.distillation.judge.errors import AethelError

_COMMENT = re.compile(r"(?://|#)[^\n]*|/\*.*?\*/", re.DOTALL)
_OPEN_COMMENT = re.compile(r"/\*")
_NOT_PLAIN = re.compile(r"[^\t\n -~]")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of controls, formats, surrogates, private and unassigned characters, and separators."""


def without_comments(source: str) -> str:
    """``source`` with blanks in the place of comments, so that lines and columns stay. Raises AethelError."""
    if len(source) > LARGEST_SOURCE:
        raise AethelError(
            f"the source has {len(source)} characters, more than {LARGEST_SOURCE}", advice="Judge it in parts."
        )
    source = source.replace("\r\n", "\n")
    for match in _NOT_PLAIN.finditer(source):
        if unicodedata.category(match.group()) in _INVISIBLE:
            raise _refusal(source, match.start(), "is invisible or controls how text is shown", "Remove it.")
    code = _COMMENT.sub(lambda comment: re.sub(r"[^\n]", " ", comment.group()), source)
    if foreign := _NOT_PLAIN.search(code):
        raise _refusal(code, foreign.start(), "is not ASCII", "Only comments may hold such characters.")
    if opened := _OPEN_COMMENT.search(code):
        raise AethelError(f"{place_in(code, opened.start())}: a comment does not end", advice="Close it with */.")
    return code


def place_in(text: str, index: int) -> SourcePlace:
    """The line and column of a character."""
    before = text.count("\n", 0, index)
    return SourcePlace(before + 1, index - text.rfind("\n", 0, index))


def _refusal(text: str, index: int, problem: str, advice: str) -> AethelError:
    character = text[index]
    name = f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()
    return AethelError(f"{place_in(text, index)}: the character {name} {problem}", advice=advice)
