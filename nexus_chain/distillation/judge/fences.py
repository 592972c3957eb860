"""The fenced blocks of a response, read line by line, and where it is unclear which text is code.

Whoever writes a response may not choose which of two texts is judged, nor hide one of them from a reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LARGEST_RESPONSE = 1 << 16
"""Characters of a response in which code is looked for."""

_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})(.*)")
_HIDING = re.compile(r"<!--|<!\[CDATA\[|<(?:script|style|template|textarea)\b", re.IGNORECASE)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_DEEPEST_FENCE = 3  # blanks before a fence; with more, Markdown has it as a fence or as text, by what stands around


class UnclearResponseError(ValueError):
    """No text of the response is clearly its code. The message says why."""


@dataclass(frozen=True)
class FencedBlock:
    """``tag``: what follows the opening fence, in small letters. ``text``: the lines up to the closing fence."""

    tag: str
    text: str


@dataclass(frozen=True)
class FencedResponse:
    """``outside``: the lines that stand in no block."""

    blocks: tuple[FencedBlock, ...]
    outside: str


def read_fences(response: str) -> FencedResponse:
    """Raises UnclearResponseError: too long, a block without an end, hiding HTML, an odd fence or line end."""
    if len(response) > LARGEST_RESPONSE:
        raise UnclearResponseError(f"the response has more than {LARGEST_RESPONSE} characters")
    response = response.replace("\r\n", "\n")
    if "\r" in response:
        raise UnclearResponseError("a line ends with a carriage return alone")
    blocks, outside, inside, fence, tag = list[FencedBlock](), list[str](), list[str](), "", ""
    for line in _LINE.findall(response):
        found = _fence_of(line)
        if fence:
            if found is not None and found[1].startswith(fence) and not found[2] and found[0] <= _DEEPEST_FENCE:
                blocks.append(FencedBlock(tag, "".join(inside)))
                inside, fence = [], ""
            else:
                inside.append(line)
        elif found is None:
            outside.append(line)
        elif found[0] > _DEEPEST_FENCE:
            raise UnclearResponseError("a fence is indented")
        else:
            fence, tag = found[1], found[2].lower()
    if fence:
        raise UnclearResponseError("a block does not end")
    around = "".join(outside)
    if _HIDING.search(around):
        raise UnclearResponseError("the response has HTML that hides text")
    return FencedResponse(tuple(blocks), around)


def _fence_of(line: str) -> tuple[int, str, str] | None:
    """A fence's indentation, sign and what follows it; None for other lines."""
    found = _FENCE.fullmatch(line.rstrip(" \t\n"))
    if found is None or (found[2][0] == "`" and "`" in found[3]):
        return None
    return len(found[1].expandtabs(4)), found[2], found[3].strip(" \t")
