"""The tokenizer in a GGUF file's metadata, as the files of a checkpoint's tokenizer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

from nexus_chain.program.file_names import TOKENIZER_FILE
from nexus_chain.program.gguf_import.metadata import GgufFile, shape_of
from nexus_chain.program.gguf_import.splitting import SPLITTINGS, UNNAMED, Splitting

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
BLANK = "\N{LOWER ONE EIGHTH BLOCK}"  # how SentencePiece writes a space
#: Tokens with a role, by the name of theirs in tokenizer_config.json.
ROLES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
#: Tokens that end an answer, or a turn.
ENDS = ("eos", "eot", "eom")
CONVERT_AGAIN = "Convert the original checkpoint again with llama.cpp's current script, or import that checkpoint."


@dataclass
class _Metadata:
    """What the file says of its tokenizer."""

    file: GgufFile

    def value(self, key: str, default: Any = None) -> Any:
        return self.file.value(f"tokenizer.ggml.{key}", default)

    @cached_property
    def kind(self) -> str:
        return str(self.value("model", "missing"))

    @cached_property
    def tokens(self) -> list[str]:
        tokens: list[str] = self.value("tokens", [])
        rows = shape_of(self.file.tensors["token_embd.weight"])[0]
        if not tokens or len(tokens) > rows:
            self.file.refuse(
                f"tokenizer.ggml.tokens holds {len(tokens)} tokens, the model embeds {rows}", CONVERT_AGAIN
            )
        token, times = Counter(tokens).most_common(1)[0]
        if times > 1:
            self.file.refuse(f"tokenizer.ggml.tokens holds {token!r} {times} times", CONVERT_AGAIN)
        return tokens

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def types(self) -> list[int]:
        return list(self.value("token_type", [])) or [NORMAL] * len(self.tokens)

    @cached_property
    def splitting(self) -> Splitting:
        """How a byte-level tokenizer splits text. Raises CheckpointLayoutError for a name that is not known."""
        name = self.value("pre") or UNNAMED.get(self.file.network, "default")
        if name not in SPLITTINGS:
            self.file.refuse(
                f"tokenizer.ggml.pre is {name!r}, which is not supported",
                f"Import the original checkpoint; known names are {', '.join(sorted(SPLITTINGS))}.",
            )
        return SPLITTINGS[name]

    def token(self, role: str) -> str | None:
        """Text of the token that has a role; None without one."""
        number = self.value(f"{role}_token_id")
        return self.tokens[number] if isinstance(number, int) and 0 <= number < len(self.tokens) else None

    @property
    def starts(self) -> bool:
        """Whether BOS comes before every text."""
        return bool(self.value("add_bos_token", self.kind == "llama" or self.splitting.starts))

    @property
    def ends(self) -> bool:
        """Whether EOS comes after every text."""
        return bool(self.value("add_eos_token", False))

    def added(self) -> list[AddedToken]:
        """Tokens that are found in a text before it is split."""
        roles = {self.token(role) for role in (*ROLES.values(), *ENDS)}
        found = []
        for token, kind in zip(self.tokens, self.types, strict=False):
            special = kind in (UNKNOWN, CONTROL) or token in roles
            if special or kind == USER_DEFINED:
                found.append(AddedToken(token, special=special, normalized=False))
        return found


def tokenizer_files(file: GgufFile, context: int) -> dict[str, str]:
    """Content by name of tokenizer.json, tokenizer_config.json and generation_config.json.

    Raises CheckpointLayoutError for a tokenizer that is not supported or makes no sense.
    """
    metadata = _Metadata(file)
    return {
        TOKENIZER_FILE: _tokenizer(metadata).to_str(),
        "tokenizer_config.json": json.dumps(_settings(metadata, context), ensure_ascii=False, indent=2),
        "generation_config.json": json.dumps(_generation(metadata), indent=2),
    }


def _tokenizer(metadata: _Metadata) -> Tokenizer:
    makers = {"gpt2": _byte_level, "llama": _sentence_pieces}
    if metadata.kind not in makers:
        metadata.file.refuse(f"tokenizer.ggml.model is {metadata.kind!r}, only {' and '.join(makers)} are supported")
    try:
        tokenizer = makers[metadata.kind](metadata)
        tokenizer.add_tokens(metadata.added())
        tokenizer.post_processor = _around(metadata)
    except (ValueError, TypeError) as cause:
        metadata.file.refuse(f"its tokens make no tokenizer ({cause})", CONVERT_AGAIN)
    except Exception as cause:  # the tokenizers library raises nothing more precise
        if type(cause) is not Exception:
            raise
        metadata.file.refuse(f"its tokens make no tokenizer ({cause})", CONVERT_AGAIN)
    return tokenizer


def _byte_level(metadata: _Metadata) -> Tokenizer:
    merges = [tuple(merge.split(" ", 1)) for merge in metadata.value("merges", [])]
    tokenizer = Tokenizer(models.BPE(metadata.vocabulary, merges, ignore_merges=metadata.splitting.whole))
    if metadata.splitting.composed:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = metadata.splitting.pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentence_pieces(metadata: _Metadata) -> Tokenizer:
    scores = metadata.value("scores", [])
    if len(scores) != len(metadata.tokens):
        metadata.file.refuse(f"there are {len(scores)} scores of {len(metadata.tokens)} tokens", CONVERT_AGAIN)
    merges = _merges(metadata.vocabulary, scores, metadata.types)
    unknown = metadata.token("unknown")
    tokenizer = Tokenizer(
        models.BPE(metadata.vocabulary, merges, unk_token=unknown, fuse_unk=unknown is not None, byte_fallback=True)
    )
    prefixed = bool(metadata.value("add_space_prefix", True))
    spaces = normalizers.Replace(" ", BLANK)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(BLANK), spaces]) if prefixed else spaces
    steps = [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, *([decoders.Strip(" ", 1, 0)] if prefixed else [])])
    return tokenizer


def _merges(vocabulary: Mapping[str, int], scores: list[float], types: list[int]) -> list[tuple[str, str]]:
    """Pairs of pieces that join to a piece, those that make the piece of the highest score first."""
    ranked: list[tuple[float, int, int, str, str]] = []  # of two ways to make a piece, the longer left part goes first
    for piece, number in vocabulary.items():
        if types[number] not in (NORMAL, USER_DEFINED):
            continue
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocabulary and right in vocabulary:
                ranked.append((-scores[number], -len(left), number, left, right))
    return [(left, right) for *_, left, right in sorted(ranked)]


def _around(metadata: _Metadata) -> processors.TemplateProcessing | None:
    """What puts BOS before a text and EOS after it, where the file asks for it."""
    bos = metadata.token("bos") if metadata.starts else None
    eos = metadata.token("eos") if metadata.ends else None
    if bos is None and eos is None:
        return None
    before, after = [bos] if bos else [], [eos] if eos else []
    return processors.TemplateProcessing(
        single=[*before, "$A", *after],
        pair=[*before, "$A", *after, *(f"{token}:1" for token in before), "$B:1", *(f"{token}:1" for token in after)],
        special_tokens=[(token, metadata.vocabulary[token]) for token in dict.fromkeys((*before, *after))],
    )


def _settings(metadata: _Metadata, context: int) -> dict[str, Any]:
    """tokenizer_config.json."""
    texts = {name: metadata.token(role) for name, role in ROLES.items()}
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": metadata.starts,
        "add_eos_token": metadata.ends,
        **{name: text for name, text in texts.items() if text is not None},
    }
    if template := metadata.file.value("tokenizer.chat_template"):
        settings["chat_template"] = template
    return settings


def _generation(metadata: _Metadata) -> dict[str, Any]:
    """generation_config.json: every token that ends an answer."""
    ids = {role: metadata.value(f"{role}_token_id") for role in ("bos", "padding", *ENDS)}
    ends = list(dict.fromkeys(number for role in ENDS if (number := ids[role]) is not None))
    found = {"bos_token_id": ids["bos"], "eos_token_id": ends or None, "pad_token_id": ids["padding"]}
    return {name: value for name, value in found.items() if value is not None}
