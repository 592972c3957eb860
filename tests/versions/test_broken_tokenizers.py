"""A broken tokenizer file is one clear error, also where the library panics, which no ``except Exception`` sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.quality.held_out import HeldOutSample
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.text_codec import TextCodec
from nexus_chain.versions.tokenizer_faults import tokenizer_faults

pytestmark = pytest.mark.fast

WORDS: dict[str, Any] = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}


def written(folder: Path, **parts: Any) -> Path:
    whole = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": WORDS,
    }  # fmt: skip
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**whole, **parts}))
    return path


@pytest.mark.parametrize(
    "parts",
    [
        {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"], "continuing_subword_prefix": "##"}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 5}},
    ],
    ids=["panics at merges", "panics at a table", "says what is wrong"],
)
def test_a_file_that_the_library_cannot_load(parts: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, **parts)
    with pytest.raises(ModelFilesError, match=r"tokenizer\.json is not a tokenizer: "):
        TextCodec(path)


@pytest.mark.parametrize(
    "parts",
    [
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
        {"model": {"type": "WordLevel", "vocab": {"b": 1}, "unk_token": "zz"}},
    ],
    ids=["panics", "says what is wrong"],
)
def test_a_tokenizer_that_fails_at_a_text(parts: dict[str, Any], tmp_path: Path) -> None:
    codec = TextCodec(written(tmp_path, **parts))
    with pytest.raises(ModelFilesError, match=f"the tokenizer of {tmp_path.name} fails at a text: "):
        codec.encode("ab a", special=False)
    with pytest.raises(ModelFilesError, match="fails at a text"):
        codec.encode_plain("ab a")
    with pytest.raises(ModelFilesError, match="fails at a held-out text"):
        HeldOutSample.choose([("a.txt", "ab a")], codec.tokenizer, 10)


def test_a_tokenizer_that_panics_at_what_it_puts_around_a_text(tmp_path: Path) -> None:
    single = [{"SpecialToken": {"id": "X", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    processor = {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}}
    codec = TextCodec(written(tmp_path, post_processor=processor))
    with pytest.raises(ModelFilesError, match="fails at a text: "):
        codec.encode("a")


def test_a_tokenizer_that_panics_at_tokens(tmp_path: Path) -> None:
    codec = TextCodec(written(tmp_path, decoder={"type": "Strip", "content": "a", "start": 9, "stop": 9}))
    with pytest.raises(ModelFilesError, match=f"the tokenizer of {tmp_path.name} fails at tokens: "):
        codec.decode([0, 1])
    with pytest.raises(ModelFilesError, match="fails at tokens"):
        codec.decode_named([0, 1])
    stream = codec.stream()
    with pytest.raises(ModelFilesError, match="fails at tokens"):
        stream.push(0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine"), SystemExit(1)])
def test_what_is_no_fault_of_the_library_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), tokenizer_faults("x"):
        raise error
