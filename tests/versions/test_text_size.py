"""A text that is too long is refused before it is tokenized; none that fits is ever refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

import nexus_chain
from nexus_chain.versions.errors import PromptTooLongError
from nexus_chain.versions.text_codec import TextCodec
from nexus_chain.versions.text_size import NORMALISED, longest_token_bytes
from tests.support.small_tokenizers import CHATML, byte_level, keep

pytestmark = pytest.mark.fast

SHIPPED = Path(nexus_chain.__file__).parent / "models" / "python-stdlib"


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> TextCodec:
    folder = tmp_path_factory.mktemp("codec")
    keep(folder, byte_level("<|im_start|>", "<|im_end|>"), tokenizer_config={"chat_template": CHATML})
    return TextCodec(folder / "tokenizer.json")


def test_a_byte_level_tokenizer_has_a_longest_token(codec: TextCodec) -> None:
    assert codec.bytes_per_token == len("<|im_start|>")


def test_a_text_that_cannot_fit_is_refused_before_it_is_tokenized(
    codec: TextCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tokenized(*_: object, **__: object) -> None:
        raise AssertionError("it was tokenized")

    monkeypatch.setattr(codec, "_encoded", tokenized)
    long = "x" * (4 * 12 + 1)
    for encode in (codec.encode, codec.encode_plain):
        with pytest.raises(PromptTooLongError, match="49 bytes exceeds the model's context of 4 tokens"):
            encode(long, most=4)
    with pytest.raises(PromptTooLongError):
        codec.chat_prompt([{"role": "user", "content": long}], most=4)


def test_the_most_that_fits_is_tokenized(codec: TextCodec) -> None:
    assert len(codec.encode("<|im_start|>" * 4, special=False, most=4)) == 4


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.integers(0, 3))
def test_no_text_that_fits_is_refused(codec: TextCodec, text: str, more: int) -> None:
    tokens = codec.encode(text, special=False)
    assert codec.encode(text, special=False, most=len(tokens) + more) == tokens


@pytest.mark.parametrize("form", ["NFC", "NFKC", "NFD", "NFKD", "Lowercase"])
def test_normal_forms_shorten_no_more_than_is_allowed_for(form: str) -> None:
    normalizer = getattr(normalizers, form)()
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        size = len(normalizer.normalize_str(chr(code)).encode())
        assert size == 0 or len(chr(code).encode()) <= NORMALISED * size
    hangul = "\N{HANGUL CHOSEONG KIYEOK}\N{HANGUL JUNGSEONG A}\N{HANGUL JONGSEONG KIYEOK}"
    assert len(hangul.encode()) <= NORMALISED * len(normalizer.normalize_str(hangul).encode())


def lossy() -> list[Tokenizer]:
    """Tokenizers in which text can vanish."""
    words = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    stripped, dropped, swallowing = byte_level(), byte_level(), byte_level()
    stripped.normalizer = normalizers.Strip()
    dropped.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel()])
    swallowing.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return [words, stripped, dropped, swallowing]


def test_where_text_can_vanish_there_is_no_bound() -> None:
    assert [longest_token_bytes(one) for one in lossy()] == [None] * 4


def test_the_shipped_model_has_a_bound() -> None:
    found = TextCodec(SHIPPED / "tokenizer.json").bytes_per_token
    assert found is not None
    assert 1 < found < 4_096
