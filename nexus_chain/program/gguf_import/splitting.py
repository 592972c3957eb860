"""How a byte-level tokenizer splits text before it merges, by the name that a GGUF file gives in tokenizer.ggml.pre.

These are the expressions of llama.cpp, which chose the names. Each is applied to the pieces of the one before.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Sequence, Split

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_LETTERS = (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]")
_QWEN2 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_SIGNS}|{_SPACES}"
_LLAMA3 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_LETTERS[0]}*{_LETTERS[1]}+|[^\r\n\p{{L}}\p{{N}}]?{_LETTERS[0]}+{_LETTERS[1]}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)


@dataclass(frozen=True)
class Splitting:
    """``expressions`` cut text in turn.

    ``whole``: a piece that is a token is not merged together. ``starts``: BOS comes first where the file is silent.
    ``composed``: the model's own tokenizer puts letters and their accents together first (NFC).
    """

    expressions: tuple[str, ...]
    whole: bool = False
    starts: bool = False
    composed: bool = False

    def pre_tokenizer(self) -> PreTokenizer:
        """The splitter, with bytes written as the vocabulary writes them."""
        cuts = [Split(Regex(expression), "isolated") for expression in self.expressions]
        return Sequence([*cuts, ByteLevel(add_prefix_space=False, use_regex=False)])


_DEFAULT = Splitting((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"))
_DIGITS = Splitting((r"\p{N}", _GPT2))
_PLAIN = Splitting((_GPT2,))
_THREES = Splitting((_LLAMA3,), whole=True, starts=True)
_ONES = Splitting((_QWEN2,), composed=True)

SPLITTINGS = {
    "default": _DEFAULT,
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "roberta-bpe"), _PLAIN),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell"), _DIGITS),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"), _THREES),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez"), _ONES),
    "tekken": Splitting((_TEKKEN,), whole=True, starts=True),
}
#: Where a file names none: what its architecture's tokenizer does, else what llama.cpp falls back to.
UNNAMED = {"qwen2": "qwen2", "qwen3": "qwen2"}
