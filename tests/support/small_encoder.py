"""A small random encoder's files, with a tokenizer of letters."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

from nexus_chain.program import PRESETS, random_model
from tests.support.small_tokenizers import keep


def saved_model(folder: Path, preset: str, seed: int = 4) -> Path:
    """A random model of ``preset`` with a tokenizer of letters, framed by [CLS] and [SEP] as MiniLM's is."""
    random_model(PRESETS[preset], seed=seed).save(folder)
    vocabulary = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2} | {chr(code): code for code in range(32, 127)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    keep(folder, tokenizer)
    return folder
