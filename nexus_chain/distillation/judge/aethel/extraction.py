"""The one piece of Aethel in a response: a bare source, or one fenced block."""

from __future__ import annotations

import re

from nexus_chain.distillation.judge.fences import UnclearResponseError, read_fences

_BEGINNING = re.compile(r"\b(?:intent\s+\w+\s*\(|atomic_batch\s+\w+\s*\{)")
# Atomic and possessive: what is read as a comment is never read again in another way, so this takes one pass.
_BARE = re.compile(r"\s*+(?>(?://|#)[^\n]*\n\s*|/\*.*?\*/\s*)*+(?:intent|atomic_batch)\s", re.DOTALL)
_TAGS = frozenset({"aethel", "ae"})


def extract_aethel(response: str) -> str | None:
    """The source in ``response``. None if there is none, if more than one text could be meant, or if it is too long.

    Whoever writes the text around the code may not choose what is judged: code in two places is no answer.
    """
    try:
        fenced = read_fences(response)
    except UnclearResponseError:
        return None
    if not fenced.blocks and _BARE.match(response):
        return response
    candidates = [block.text for block in fenced.blocks if block.tag in _TAGS or _BEGINNING.search(block.text)]
    if len(candidates) != 1 or _BEGINNING.search(fenced.outside):
        return None
    return candidates[0]
