"""How many bytes of a text one token can stand for: a text of more than that for each position fits no context.

Known before a text is tokenized, which takes as long as the text is. It must never refuse a text that fits. So it is
the longest token of the vocabulary, and there is no bound for tokenizers in which text can vanish: those that drop
blanks, that cut words which they do not know to one token, or whose tokens swallow the blanks around them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

NORMALISED = 8
"""By which normal forms of Unicode shorten a text at most, with room: a mathematical letter of four bytes becomes one
of one byte, three letters of a Hangul syllable become one."""
_KEPT_BY_NORMALIZERS = frozenset(("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "ByteLevel"))
_KEPT_BY_PRE_TOKENIZERS = frozenset(("ByteLevel", "Digits", "Metaspace", "UnicodeScripts"))
_FALLBACK = frozenset(f"<0x{byte:02X}>" for byte in range(256))


def longest_token_bytes(tokenizer: Tokenizer) -> int | None:
    """Most bytes of UTF-8 that one token stands for; None where there is no such number."""
    if not _keeps_all(tokenizer):
        return None
    longest = max((len(token.encode()) for token in tokenizer.get_vocab(with_added_tokens=True)), default=0)
    return longest * (1 if tokenizer.normalizer is None else NORMALISED)


def _keeps_all(tokenizer: Tokenizer) -> bool:
    """Whether every byte of a text is in some token, and no token stands for more than its own name."""
    if any(token.lstrip or token.rstrip for token in tokenizer.get_added_tokens_decoder().values()):
        return False
    normalizers = list(_parts(tokenizer.normalizer, "normalizers"))
    cutters = list(_parts(tokenizer.pre_tokenizer, "pretokenizers"))
    if not all(map(_normalizer_keeps, normalizers)) or not all(map(_cutter_keeps, cutters)):
        return False
    if type(tokenizer.model).__name__ != "BPE":
        return False
    names = tokenizer.get_vocab(with_added_tokens=False).keys()
    has_bytes = any(part["type"] == "ByteLevel" for part in (*normalizers, *cutters))
    if has_bytes:
        return names >= frozenset(pre_tokenizers.ByteLevel.alphabet())
    return bool(getattr(tokenizer.model, "byte_fallback", False)) and names >= _FALLBACK


def _parts(component: Any, inside: str) -> Iterator[dict[str, Any]]:
    """A normalizer or pre-tokenizer as its file writes it; those of a sequence one by one."""
    if component is not None:
        yield from _flat(json.loads(component.__getstate__()), inside)


def _flat(written: dict[str, Any], inside: str) -> Iterator[dict[str, Any]]:
    if written["type"] != "Sequence":
        yield written
        return
    for part in written[inside]:
        yield from _flat(part, inside)


def _normalizer_keeps(part: dict[str, Any]) -> bool:
    if part["type"] == "Replace":  # a blank by a longer sign
        pattern = part["pattern"].get("String")
        return pattern is not None and len(part["content"].encode()) >= len(pattern.encode())
    return part["type"] in _KEPT_BY_NORMALIZERS


def _cutter_keeps(part: dict[str, Any]) -> bool:
    if part["type"] in ("Split", "Punctuation"):
        return str(part["behavior"]).lower() != "removed"
    return part["type"] in _KEPT_BY_PRE_TOKENIZERS
