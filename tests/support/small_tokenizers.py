"""Small tokenizers of the kinds that public checkpoints have, and folders that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

CHATML = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_level(*specials: str) -> Tokenizer:
    """Every byte is a token, under ids 0 to 255; then some pairs; then the special tokens."""
    letters = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    pairs = [("h", "e"), ("l", "l"), ("Ġ", "h"), ("ð", "Ł")]
    vocabulary = letters | {a + b: len(letters) + at for at, (a, b) in enumerate(pairs)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in specials])
    return tokenizer


def byte_fallback() -> Tokenizer:
    """As SentencePiece makes them: blanks are written as ``▁``, rare characters as tokens of bytes."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁helowrd", "he", "ll", "▁h"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    merges = [("h", "e"), ("l", "l"), ("▁", "h")]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in pieces[:3]])
    return tokenizer


def prepended() -> Tokenizer:
    """As version 4 of transformers wrote those of Llama: a blank before every part of a text."""
    tokenizer = byte_fallback()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = None
    return tokenizer


def word_piece(*, lowercase: bool = False, framed: bool = True) -> Tokenizer:
    """As those of BERT: words of whole letters, and letters within words."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZéÉ數字"
    pieces = [*specials, *letters, *(f"##{letter}" for letter in letters), "hello", "Hello", "ete", "été"]
    tokenizer = Tokenizer(models.WordPiece({piece: at for at, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in specials])
    if framed:
        ends = [(name, specials.index(name)) for name in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def first_token(tokenizer: Tokenizer, name: str) -> Tokenizer:
    """The tokenizer with a post-processor that puts a token first."""
    token = tokenizer.token_to_id(name)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{name} $A", special_tokens=[(name, token)])
    return tokenizer


def keep(folder: Path, tokenizer: Tokenizer, **files: Any) -> Path:
    """Write a tokenizer and its neighbours, by their names without ``.json``; returns the tokenizer's path."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, value in {"config": {"model_type": "llama"}, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder / "tokenizer.json"


def declared(tokens: Mapping[int, str]) -> dict[str, Any]:
    """``added_tokens_decoder`` of special tokens."""
    flags = {"special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    return {str(index): {"content": name, **flags} for index, name in tokens.items()}
