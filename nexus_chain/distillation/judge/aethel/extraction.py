"""The one piece of Aethel in a response: a bare source, or one fenced block."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ ]{0,3}(`{3,}|~{3,})[ \t]*([^\n`]*)$", re.MULTILINE)
_BEGINNING = re.compile(r"\b(?:intent\s+\w+\s*\(|atomic_batch\s+\w+\s*\{)")
_BARE = re.compile(r"\s*(?:(?://|#)[^\n]*\n\s*|/\*.*?\*/\s*)*(?:intent|atomic_batch)\s", re.DOTALL)
_TAGS = frozenset({"aethel", "ae"})


def extract_aethel(response: str) -> str | None:
    """The source in ``response``. None if there is none, or if more than one text could be meant.

    Whoever writes the text around the code may not choose what is judged: code in two places is no answer.
    """
    blocks, outside = _split(response)
    if blocks is None:
        return None
    candidates = [code for tag, code in blocks if tag in _TAGS or _BEGINNING.search(code)]
    if not blocks and _BARE.match(response):
        return response
    if len(candidates) != 1 or _BEGINNING.search(outside):
        return None
    return candidates[0]


def _split(response: str) -> tuple[list[tuple[str, str]] | None, str]:
    """(tag, text) of each fenced block, and what stands outside; no blocks (None) where one does not end."""
    blocks, outside, position = list[tuple[str, str]](), list[str](), 0
    while opening := _FENCE.search(response, position):
        outside.append(response[position : opening.start()])
        fence, begin = opening.group(1), opening.end() + 1
        closing = re.compile(rf"^[ ]{{0,3}}{re.escape(fence)}{re.escape(fence[0])}*[ \t]*$", re.MULTILINE)
        end = closing.search(response, begin)
        if end is None:
            return None, response
        blocks.append((opening.group(2).strip().lower(), response[begin : end.start()]))
        position = end.end()
    return blocks, "".join([*outside, response[position:]])
