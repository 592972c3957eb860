"""Streams: pieces join to what decoding gives, for any tokens, and nothing certain is held back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from nexus_chain.versions.text_codec import TextCodec
from tests.support.small_tokenizers import byte_fallback, byte_level, keep

BAD = "\N{REPLACEMENT CHARACTER}"


def with_added(tokenizer: Tokenizer) -> Tokenizer:
    """Some added tokens that are text, within and outside the byte alphabet."""
    tokenizer.add_tokens([AddedToken("<é>", special=False), AddedToken(" \n數", special=False)])
    return tokenizer


def whole_words() -> Tokenizer:
    """No decoder: words are joined by blanks."""
    return Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))


def always_blank() -> Tokenizer:
    """A prefix blank is stripped by the decoder called Metaspace."""
    tokenizer = byte_fallback()
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return tokenizer


def mixed() -> Tokenizer:
    """Byte-level within a sequence."""
    tokenizer = byte_level("<s>")
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    return tokenizer


KINDS = {
    "byte level": with_added(byte_level("<s>", "<|im_end|>")),
    "byte fallback": with_added(byte_fallback()),
    "words": whole_words(),
    "metaspace": always_blank(),
    "sequence": mixed(),
}


@pytest.fixture(scope="module", params=list(KINDS))
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextCodec:
    return TextCodec(keep(tmp_path_factory.mktemp("kind"), KINDS[request.param]))


@given(data=st.data())
def test_pieces_join_to_decode_for_any_tokens_and_any_end(codec: TextCodec, data: st.DataObject) -> None:
    size = codec.tokenizer.get_vocab_size()
    tokens = data.draw(st.lists(st.integers(0, size + 2), max_size=40))
    stop = data.draw(st.integers(0, len(tokens)))
    stream = codec.stream()
    for part in (tokens[:stop], tokens[stop:]):  # a stream is as new after its end
        assert "".join([*map(stream.push, part), stream.finish()]) == codec.decode(part)


@given(text=st.text(max_size=40))
def test_pieces_join_to_the_text_that_was_encoded(codec: TextCodec, text: str) -> None:
    tokens, stream = codec.encode(text), codec.stream()
    assert "".join([*map(stream.push, tokens), stream.finish()]) == codec.decode(tokens)


def one(tmp_path: Path, name: str) -> TextCodec:
    return TextCodec(keep(tmp_path, KINDS[name]))


def test_bad_bytes_appear_at_once_and_the_character_after_them_when_it_is_whole(tmp_path: Path) -> None:
    codec = one(tmp_path, "byte level")
    bad, fox = codec.encode("é")[1], codec.tokenizer.encode("🦊").ids
    stream = codec.stream()
    assert [stream.push(bad) for _ in range(20)] == [BAD] * 20
    assert [stream.push(token) for token in fox] == [*[""] * (len(fox) - 1), "🦊"]


def test_bytes_that_stand_for_a_character_wait_only_until_their_run_ends(tmp_path: Path) -> None:
    codec = one(tmp_path, "byte fallback")
    run = [3 + byte for byte in "é".encode()]
    letter = codec.tokenizer.get_vocab()["h"]
    stream = codec.stream()
    assert [stream.push(token) for token in [*run, letter]] == ["", "", "éh"]
    assert [stream.push(token) for token in [*run, run[0], letter]] == ["", "", "", BAD * 3 + "h"]


def test_a_blank_in_the_middle_is_kept_also_after_a_token_without_text(tmp_path: Path) -> None:
    codec = one(tmp_path, "byte fallback")
    blank = codec.tokenizer.get_vocab()["▁h"]
    stream = codec.stream()
    assert [stream.push(token) for token in (blank, 1, blank, 2, blank)] == ["h", "", " h", "", " h"]


def test_a_stream_hides_what_decoding_hides(tmp_path: Path) -> None:
    """Regression: a file calls a token special, its neighbour does not; decoding left it out, the stream showed it."""
    tokenizer = byte_level("<|im_start|>")
    index = tokenizer.token_to_id("<|im_start|>")
    entry = {"content": "<|im_start|>", "special": False, "normalized": False, "lstrip": False, "rstrip": False}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {str(index): entry}}
    codec = TextCodec(keep(tmp_path, tokenizer, tokenizer_config=settings))
    tokens = codec.encode("<|im_start|>he")
    stream = codec.stream()
    assert "".join([*map(stream.push, tokens), stream.finish()]) == codec.decode(tokens)
