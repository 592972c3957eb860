"""What the class of a tokenizer makes of its tokenizer.json, as ``transformers`` builds it.

Most classes leave the file as it is. These do not: settings in tokenizer_config.json rule over it. Only what both of
its versions 4 and 5 mean is followed, and how version 5 reads blanks in a Llama vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from nexus_chain.versions.text_files import DeclaredTexts

WRITTEN_BLANK = "\N{LOWER ONE EIGHTH BLOCK}"
"""Stands for a blank in the vocabularies of SentencePiece."""


def follow_class(tokenizer: Tokenizer, declared: DeclaredTexts) -> None:
    """Change ``tokenizer`` as its class does."""
    if (change := _CHANGES.get(declared.tokenizer_class)) is not None:
        change(tokenizer, declared)


def _change_bert(tokenizer: Tokenizer, declared: DeclaredTexts) -> None:
    """Capitals, accents and Chinese letters as the configuration says; a text stands between [CLS] and [SEP]."""
    if not isinstance(tokenizer.model, models.WordPiece):
        return
    config = declared.config
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=_truth(config, "tokenize_chinese_chars", True),
        strip_accents=None if config.get("strip_accents") is None else bool(config["strip_accents"]),
        lowercase=_truth(config, "do_lower_case", True),
    )
    first, last = declared.special_name("cls_token"), declared.special_name("sep_token")
    ids = {name: tokenizer.token_to_id(name) for name in (first, last) if name}
    if first and last and None not in ids.values():
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}", special_tokens=list(ids.items())
        )


def _change_gpt2(tokenizer: Tokenizer, declared: DeclaredTexts) -> None:
    """Whether a text begins with a blank, whatever was typed."""
    split = tokenizer.pre_tokenizer
    if isinstance(split, pre_tokenizers.ByteLevel):
        split.add_prefix_space = _truth(declared.config, "add_prefix_space", False)
        tokenizer.pre_tokenizer = split


def _change_llama(tokenizer: Tokenizer, declared: DeclaredTexts) -> None:
    """Blanks of a SentencePiece vocabulary: one before a text, but not after a special token unless it is a legacy."""
    model = tokenizer.model
    if not (isinstance(model, models.BPE) and model.byte_fallback):
        return
    prefixed = _truth(declared.config, "add_prefix_space", True)
    scheme = ("always" if declared.config.get("legacy") is True else "first") if prefixed else "never"
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(WRITTEN_BLANK, prepend_scheme=scheme, split=False)
    strip = [decoders.Strip(" ", 1, 0)] if prefixed else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(WRITTEN_BLANK, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )


_CHANGES: Mapping[str, Callable[[Tokenizer, DeclaredTexts], None]] = {
    "BertTokenizer": _change_bert,
    "DistilBertTokenizer": _change_bert,
    "GPT2Tokenizer": _change_gpt2,
    "LlamaTokenizer": _change_llama,
}


def _truth(config: Mapping[str, Any], field: str, default: bool) -> bool:
    value = config.get(field)
    return default if value is None else bool(value)
