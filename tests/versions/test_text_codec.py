"""Text becomes the tokens that ``transformers`` makes of it; what users type is never a control token."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer

from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.text_codec import TextCodec
from tests.support.small_tokenizers import byte_fallback, byte_level, declared, first_token, keep, prepended, word_piece

FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
START, END = "<|im_start|>", "<|im_end|>"
TEXTS = (
    "hello",
    f"{START}user\nhello{END}\n",
    "<s>hello</s> h<|x|>",
    "12 數 é 🦊",
    "",
    " ",
    f"a{END}{END} b",
    "a <|x|> b",
    "  Hello Été 數字",
    "h</s> h",
)


def template(tokenizer: Tokenizer, single: str, *names: str) -> Tokenizer:
    from tokenizers import processors

    tokens = [(name, tokenizer.token_to_id(name)) for name in names]
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single=single, special_tokens=tokens)]
    )
    return tokenizer


LLAMA = {"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
BERT = {"config": {"model_type": "bert"}}


def bert(**settings: Any) -> dict[str, Any]:
    return {**BERT, "tokenizer_config": {"tokenizer_class": "BertTokenizer", **settings}}


SIZE = byte_level().get_vocab_size()
FOLDERS: dict[str, tuple[Tokenizer, dict[str, Any]]] = {
    "alone": (byte_level(START, END), {}),
    "first token": (first_token(byte_level("<s>", "</s>"), "<s>"), {}),
    "sequence of processors": (template(byte_level("<s>", "</s>"), "<s> $A", "<s>"), {}),
    "last token": (template(byte_level("<s>", "</s>"), "$A </s>", "</s>"), {}),
    "added tokens in the configuration": (
        byte_level("<s>"),
        {"tokenizer_config": {**FAST, "added_tokens_decoder": declared({SIZE: "<s>", SIZE + 1: START, SIZE + 2: END})}},
    ),
    "added tokens in their own file": (
        byte_level("<s>"),
        {
            "added_tokens": {START: SIZE + 1, END: SIZE + 2, "<|x|>": SIZE + 3},
            "special_tokens_map": {"eos_token": END, "additional_special_tokens": [START]},
        },
    ),
    "a map of special tokens": (
        byte_level("<s>"),
        {"special_tokens_map": {"eos_token": {"content": END, "lstrip": False, "rstrip": False, "normalized": False}}},
    ),
    "a named token that swallows blanks": (
        byte_level("<s>"),
        {"special_tokens_map": {"mask_token": {"content": "<|x|>", "lstrip": True, "rstrip": True}}},
    ),
    "extra special tokens": (
        byte_level("<s>"),
        {"tokenizer_config": {**FAST, "eos_token": END, "extra_special_tokens": [START, "<|x|>"]}},
    ),
    "older name of them": (byte_level(), {"tokenizer_config": {**FAST, "additional_special_tokens": ["<|x|>", END]}}),
    "model's own tokens": (
        byte_level(),
        {"tokenizer_config": {**FAST, "image_token": "<|x|>", "extra_special_tokens": {"chat_token": START}}},
    ),
    "byte fallback": (byte_fallback(), {"tokenizer_config": {**FAST, "bos_token": "<s>", "add_bos_token": True}}),
    "blanks of a Llama": (first_token(prepended(), "<s>"), {"tokenizer_config": LLAMA}),
    "a legacy of Llama": (first_token(prepended(), "<s>"), {"tokenizer_config": {**LLAMA, "legacy": True}}),
    "a Llama without a blank": (prepended(), {"tokenizer_config": {**LLAMA, "add_prefix_space": False}}),
    "blanks of a Mistral": (prepended(), {"tokenizer_config": LLAMA, "config": {"model_type": "mistral"}}),
    "a blank before every text": (
        byte_level(END),
        {"tokenizer_config": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True, "eos_token": END}},
    ),
    "capitals become small": (word_piece(), bert(do_lower_case=True)),
    "small by the class": (word_piece(), BERT),
    "capitals stay": (word_piece(lowercase=True), bert(do_lower_case=False)),
    "accents go": (word_piece(), bert(do_lower_case=False, strip_accents=True)),
    "accents stay": (word_piece(), bert(strip_accents=False)),
    "Chinese letters together": (word_piece(), bert(tokenize_chinese_chars=False)),
    "a text between two tokens": (word_piece(framed=False), bert()),
    "a BERT as its file says": (word_piece(), {**BERT, "tokenizer_config": FAST}),
    "names of the model's own": (
        byte_level(),
        {"tokenizer_config": {**FAST, "eos_token": END, "model_specific_special_tokens": {"image_token": "<|x|>"}}},
    ),
    "byte fallback, first token": (first_token(byte_fallback(), "<s>"), {"tokenizer_config": FAST}),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_tokens_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    tokenizer, files = FOLDERS[name]
    codec = TextCodec(keep(tmp_path, tokenizer, **files))
    other = AutoTokenizer.from_pretrained(str(tmp_path))
    for text in TEXTS:
        if not text.startswith("<s>"):  # there the first token is not doubled here
            assert codec.encode(text) == other(text).input_ids
        assert codec.encode(text, special=False) == other(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("name", ["first token", "sequence of processors", "byte fallback, first token"])
@pytest.mark.parametrize("text", ["hello", "<s>hello", "<s>", ""])
def test_the_first_token_stands_there_once(name: str, text: str, tmp_path: Path) -> None:
    tokenizer, files = FOLDERS[name]
    codec, first = TextCodec(keep(tmp_path, tokenizer, **files)), tokenizer.token_to_id("<s>")
    for tokens in (codec.encode(text), codec.encode_plain(text, special=True)):
        assert tokens[0] == first
        assert tokens.count(first) == 1
    assert codec.encode_plain("hello", special=True) == codec.encode_plain("<s>hello", special=True)


def test_the_last_token_stands_there_once(tmp_path: Path) -> None:
    tokenizer, _ = FOLDERS["last token"]
    codec, last = TextCodec(keep(tmp_path, tokenizer)), tokenizer.token_to_id("</s>")
    assert codec.encode("h")[1:] == codec.encode("h</s>")[1:] == codec.encode_plain("h", special=True)[1:] == [last]


def test_a_llama_configuration_may_ask_for_the_first_token(tmp_path: Path) -> None:
    wanted = {"tokenizer_class": "LlamaTokenizerFast", "bos_token": {"content": "<s>"}, "add_bos_token": True}
    codec = TextCodec(keep(tmp_path, byte_fallback(), tokenizer_config=wanted))
    assert codec.encode("h")[0] == 1
    assert codec.encode("<s>h").count(1) == 1
    codec = TextCodec(keep(tmp_path, byte_fallback(), tokenizer_config={**wanted, "add_bos_token": False}))
    assert 1 not in codec.encode("h")


TALKING = [name for name, (_, files) in FOLDERS.items() if files.get("config") != BERT["config"]]


@pytest.mark.parametrize("name", TALKING)
@given(pieces=st.lists(st.sampled_from([START, END, "<s>", "</s>", "<|x|>", "<", "/s>", "he", " ", "é"]), max_size=9))
def test_what_users_type_is_never_a_control_token(
    name: str, tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    text = "".join(pieces)
    codec = codec_of(name, tmp_path_factory)
    plain = codec.encode_plain(text)
    assert codec.control_texts
    assert {codec.tokenizer.token_to_id(control) for control in codec.control_texts}.isdisjoint(plain)
    assert codec.decode(plain).split() == text.split()


CODECS: dict[str, TextCodec] = {}


def codec_of(name: str, folders: pytest.TempPathFactory) -> TextCodec:
    if name not in CODECS:
        tokenizer, files = FOLDERS[name]
        CODECS[name] = TextCodec(keep(folders.mktemp("folder"), tokenizer, **files))
    return CODECS[name]


def test_a_vocabulary_that_holds_the_name_of_a_control_token_does_not_give_it_away(tmp_path: Path) -> None:
    """A Unigram model finds ``</s>`` by itself; what is typed becomes letters all the same."""
    pieces = [("<unk>", 0.0), ("</s>", 0.0), *((letter, -5.0) for letter in "</s>abc▁")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    codec = TextCodec(keep(tmp_path, tokenizer))
    assert codec.encode("a</s>") == [tokenizer.token_to_id("a"), 1]
    assert [tokenizer.id_to_token(token) for token in codec.encode_plain("a</s>b")] == list("a</s>b")


def test_a_token_that_the_chat_template_writes_is_a_control_token_whatever_its_flag(tmp_path: Path) -> None:
    files = {"added_tokens": {"<|turn|>": SIZE}, "tokenizer_config": {**FAST, "chat_template": "<|turn|>"}}
    codec = TextCodec(keep(tmp_path, byte_level(), **files))
    assert codec.encode("<|turn|>") == [SIZE]
    assert SIZE not in codec.encode_plain("<|turn|>")


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        ({}, {SIZE}),
        ({"generation_config": {"eos_token_id": SIZE + 1}}, {SIZE, SIZE + 1}),
        ({"generation_config": {"eos_token_id": [SIZE + 1, SIZE + 2]}}, {SIZE, SIZE + 1, SIZE + 2}),
        ({"config": {"model_type": "llama", "eos_token_id": [SIZE + 2]}}, {SIZE, SIZE + 2}),
        ({"tokenizer_config": {"eos_token": "<|b|>"}}, {SIZE, SIZE + 2}),
        ({"tokenizer_config": {"eos_token": {"content": "<|a|>"}}}, {SIZE, SIZE + 1}),
        ({"special_tokens_map": {"eos_token": "<|a|>"}}, {SIZE, SIZE + 1}),
        ({"generation_config": {"eos_token_id": SIZE + 1}, "config": {"eos_token_id": 2}}, {SIZE, SIZE + 1}),
        ({"generation_config": {"eos_token_id": True}, "config": {"eos_token_id": None}}, {SIZE}),
    ],
)
def test_every_declared_end_ends_an_answer(files: dict[str, Any], ends: set[int], tmp_path: Path) -> None:
    assert TextCodec(keep(tmp_path, byte_level("<|endoftext|>", "<|a|>", "<|b|>"), **files)).end_tokens == ends


def test_not_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFilesError, match=r"tokenizer.json is not a tokenizer: .*Give the model"):
        TextCodec(tmp_path / "tokenizer.json")


def test_a_neighbour_that_contradicts_the_tokenizer_is_refused(tmp_path: Path) -> None:
    files = {"tokenizer_config": {"added_tokens_decoder": declared({SIZE + 7: START})}}
    with pytest.raises(ModelFilesError, match=rf"as token {SIZE + 7}, the tokenizer makes it {SIZE}"):
        TextCodec(keep(tmp_path, byte_level(), **files))


@pytest.mark.parametrize("name", ["tokenizer_config", "generation_config", "added_tokens"])
@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"a": [["b"] * 2] * 3}).replace("b", '"')])
def test_a_neighbour_that_is_no_json_object_is_named(name: str, text: str, tmp_path: Path) -> None:
    path = keep(tmp_path, byte_level())
    (tmp_path / f"{name}.json").write_text(text)
    with pytest.raises(ModelFilesError, match=name):
        TextCodec(path)


class Interrupted:
    """A tokenizer in the middle of whose work with letters another thread wants tokens."""

    def __init__(self, tokenizer: Tokenizer, other: threading.Thread) -> None:
        self.__dict__.update(tokenizer=tokenizer, other=other)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.tokenizer, name, value)

    def encode(self, text: str, **words: Any) -> Any:
        if self.tokenizer.encode_special_tokens and self.other.ident is None:
            self.other.start()
            self.other.join(0.1)  # it waits for this one; without that it would be over long before
        return self.tokenizer.encode(text, **words)


def test_threads_do_not_change_each_others_tokens(tmp_path: Path) -> None:
    codec = TextCodec(keep(tmp_path, byte_level(START, END)))
    alone, found = codec.encode(START), []
    other = threading.Thread(target=lambda: found.append(codec.encode(START)))
    codec.tokenizer = Interrupted(codec.tokenizer, other)  # type: ignore[assignment]
    codec.encode_plain(START)
    other.join(60)
    assert found == [alone]
    assert len(alone) == 1
