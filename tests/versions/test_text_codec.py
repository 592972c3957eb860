"""Incremental decoding gives whole characters and, in the end, exactly the decoded text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer

from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.text_codec import TextCodec


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> TextCodec:
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        ["def f(x):\n    return x  # 数 é 🦊\n"] * 3,
        vocab_size=280,
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return TextCodec(path)


@given(text=st.text(max_size=60))
def test_pieces_join_to_the_text(codec: TextCodec, text: str) -> None:
    stream = codec.stream()
    pieces = [stream.push(token) for token in codec.encode(text)]
    assert "".join([*pieces, stream.finish()]) == text
    assert all("\N{REPLACEMENT CHARACTER}" not in piece for piece in pieces) or "\N{REPLACEMENT CHARACTER}" in text


@given(tokens=st.lists(st.integers(1, 250), max_size=40))
def test_any_tokens_give_what_decoding_gives(codec: TextCodec, tokens: list[int]) -> None:
    stream = codec.stream()
    joined = "".join([*(stream.push(token) for token in tokens), stream.finish()])
    # Where bytes are no UTF-8 at all, windows may group the replacement characters differently.
    assert joined.replace("\N{REPLACEMENT CHARACTER}", "") == codec.decode(tokens).replace(
        "\N{REPLACEMENT CHARACTER}", ""
    )


def test_a_character_split_over_tokens_is_held_back(codec: TextCodec) -> None:
    tokens = codec.encode("ø")
    assert len(tokens) == 2
    stream = codec.stream()
    assert [stream.push(tokens[0]), stream.push(tokens[1])] == ["", "ø"]


def test_end_tokens_are_known(codec: TextCodec) -> None:
    assert codec.end_tokens == {0}
    assert codec.decode([0]) == ""


def test_not_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFilesError, match="model-dir"):
        TextCodec(tmp_path / "tokenizer.json")
