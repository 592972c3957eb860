"""Tokenizers in GGUF files: they encode as the tokenizer that the file was made from, and as llama.cpp's names say."""

from __future__ import annotations

import inspect
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, trainers
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence, Split
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter

from nexus_chain.program.gguf_import import convert_gguf
from nexus_chain.program.gguf_import.splitting import SPLITTINGS
from tests.support.gguf_files import CONTROL, NORMAL, Spelling, sentence_pieces, write_gguf
from tests.support.random_checkpoints import checkpoint

TEXTS = (
    "Hello world, it's 12345 and 3.14; WE'LL see x1y22.",
    "def f(a):\n    return a + 1\n\n\n\tif a:\n\t\tpass  # done\n",
    "你好,世界。こんにちは 안녕하세요",
    "😀👩‍👩‍👧 café naïve ½ ² ٣",
    "  leading and trailing  \n \n",
    "a||b ^~ $5 <=>+ {[(\\)]} http://x.y/z?q=1",
    "ONE Two tHREE\r\n\r\nfour\r",
    "",
)
THREE_DIGITS = str(inspect.signature(TikTokenConverter).parameters["pattern"].default)
ONE_DIGIT = THREE_DIGITS.replace(r"\p{N}{1,3}", r"\p{N}")


def by_expression(expression: str) -> PreTokenizer:
    bytes_only = ByteLevel(add_prefix_space=False, use_regex=False)
    return Sequence([Split(Regex(expression), "isolated"), bytes_only])


#: What the original tokenizers of the models that a name stands for do.
ORIGINALS: dict[str, PreTokenizer] = {
    "smollm": Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]),
    "gpt-2": ByteLevel(add_prefix_space=False),
    "llama-bpe": by_expression(THREE_DIGITS),
    "qwen2": by_expression(ONE_DIGIT),
}


@pytest.mark.parametrize("name", ORIGINALS)
@pytest.mark.parametrize("text", TEXTS)
def test_text_is_split_as_by_the_original(name: str, text: str) -> None:
    found = SPLITTINGS[name].pre_tokenizer().pre_tokenize_str(text)
    assert found == ORIGINALS[name].pre_tokenize_str(text)


PIECES = {
    "default": ("It's 12345 a+b!", ["It", "'", "s", "Ġ", "123", "45", "Ġa", "+", "b", "!"]),
    "smollm": ("It's 12345 a+b!", ["It", "'s", "Ġ", "1", "2", "3", "4", "5", "Ġa", "+", "b", "!"]),
    "llama-bpe": ("It'S 12345 a+b!", ["It", "'S", "Ġ", "123", "45", "Ġa", "+b", "!"]),
    "qwen2": ("It'S 12345 a+b!", ["It", "'S", "Ġ", "1", "2", "3", "4", "5", "Ġa", "+b", "!"]),
    "tekken": ("HelloWorld 123 aB//\n", ["Hello", "World", "Ġ", "1", "2", "3", "Ġa", "B", "//Ċ"]),
}


@pytest.mark.parametrize("name", PIECES)
def test_pieces_written_out(name: str) -> None:
    text, pieces = PIECES[name]
    assert [piece for piece, _ in SPLITTINGS[name].pre_tokenizer().pre_tokenize_str(text)] == pieces


def trained(pre_tokenizer: PreTokenizer) -> Tokenizer:
    """A byte-level tokenizer of some merges, as a model's makers would have trained it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|start|>", "<|end|>"],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return tokenizer


def written(tmp_path: Path, tokens: int, values: dict[str, Any], network: str = "llama") -> Path:
    """The folder of a checkpoint from a file with these keys."""
    model = checkpoint(tmp_path / "one", "qwen2" if network == "qwen2" else "llama", vocab_size=tokens)
    path = write_gguf(tmp_path / "tiny.gguf", model, Spelling(network, values=values))
    convert_gguf(path, tmp_path / "tiny")
    return tmp_path / "tiny"


def byte_level(original: Tokenizer, pre: str | None) -> dict[str, Any]:
    """Keys of a file with a trained tokenizer."""
    parts = json.loads(original.to_str())["model"]
    tokens = sorted(parts["vocab"], key=parts["vocab"].__getitem__)
    return {
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL, CONTROL, *[NORMAL] * (len(tokens) - 2)],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in parts["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.add_bos_token": False,
    }


@pytest.mark.parametrize("name", ORIGINALS)
def test_byte_level_tokens_are_those_of_the_original(name: str, tmp_path: Path) -> None:
    original = trained(ORIGINALS[name])
    folder = written(tmp_path, original.get_vocab_size(), byte_level(original, name))
    ours, automatic = Tokenizer.from_file(str(folder / "tokenizer.json")), AutoTokenizer.from_pretrained(folder)
    for text in (*TEXTS, "<|start|>user\nHi 12<|end|>\n"):
        expected = original.encode(text).ids
        assert ours.encode(text).ids == expected
        assert automatic(text).input_ids == expected
        assert ours.decode(expected, skip_special_tokens=False) == text


def test_accents_are_put_together_for_qwen_as_its_own_tokenizer_does(tmp_path: Path) -> None:
    original = trained(ORIGINALS["qwen2"])
    folder = written(tmp_path, original.get_vocab_size(), byte_level(original, None), "qwen2")
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert ours.encode("cafe\u0301").ids == original.encode("caf\u00e9").ids


def test_a_piece_that_is_a_token_is_not_merged_together_where_the_name_says_so(tmp_path: Path) -> None:
    original = trained(ORIGINALS["llama-bpe"])
    values = byte_level(original, "llama-bpe")
    values["tokenizer.ggml.tokens"] = [*values["tokenizer.ggml.tokens"], "zzqq"]
    values["tokenizer.ggml.token_type"] = [*values["tokenizer.ggml.token_type"], NORMAL]
    folder = written(tmp_path, original.get_vocab_size() + 1, values)
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode("zzqq").tokens == ["zzqq"]


WORDS = [
    *("\u2581t", "he", "\u2581the", "in", "ing", "\u2581a", "is", "\u2581is", "th", "\u2581th", "er", "\u2581"),
    *("e", "t", "h", "i", "n", "g", "a", "s", "r", "世"),
]


def merged(text: str, scores: dict[str, float]) -> list[str]:
    """SentencePiece's way: the neighbours whose joint piece scores best become one, the leftmost of equals first."""
    pieces = list("\u2581" + text.replace(" ", "\u2581")) if text else []
    while True:
        joint = enumerate(a + b for a, b in pairwise(pieces))
        pairs = [(-scores[piece], place) for place, piece in joint if piece in scores]
        if not pairs:
            return [byte for piece in pieces for byte in ([piece] if piece in scores else as_bytes(piece))]
        place = min(pairs)[1]
        pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]


def as_bytes(piece: str) -> list[str]:
    return [f"<0x{byte:02X}>" for byte in piece.encode()]


@pytest.mark.parametrize("text", ["the thing is the ether", "a  is ", "in 世界 😀", "\n\tthat", "ing er the", ""])
def test_sentence_pieces_are_merged_by_score(text: str, tmp_path: Path) -> None:
    folder = written(tmp_path, 259 + len(WORDS), sentence_pieces(WORDS))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    scores = {word: -float(number) for number, word in enumerate(WORDS)}
    found = tokenizer.encode(text)
    assert found.tokens == ["<s>", *merged(text, scores)]
    assert tokenizer.decode(found.ids) == text
    assert AutoTokenizer.from_pretrained(folder)(text).input_ids == found.ids


STARTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "sentence pieces": (sentence_pieces(WORDS), ["<s>", "\u2581a"]),
    "none wanted": ({**sentence_pieces(WORDS), "tokenizer.ggml.add_bos_token": False}, ["\u2581a"]),
    "an end too": ({**sentence_pieces(WORDS), "tokenizer.ggml.add_eos_token": True}, ["<s>", "\u2581a", "</s>"]),
    "no blank": ({**sentence_pieces(WORDS), "tokenizer.ggml.add_space_prefix": False}, ["<s>", "a"]),
}


@pytest.mark.parametrize("what", STARTS)
def test_what_stands_around_a_text(what: str, tmp_path: Path) -> None:
    values, tokens = STARTS[what]
    folder = written(tmp_path, 259 + len(WORDS), values)
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode("a").tokens == tokens
    assert AutoTokenizer.from_pretrained(folder).tokenize("a", add_special_tokens=True) == tokens


@pytest.mark.parametrize(
    ("name", "tokens"), [("llama-bpe", ["<|start|>", "a"]), ("smollm", ["a"]), ("tekken", ["<|start|>", "a"])]
)
def test_bos_where_the_file_is_silent(name: str, tokens: list[str], tmp_path: Path) -> None:
    values = {**byte_level(trained(ORIGINALS["gpt-2"]), name), "tokenizer.ggml.add_bos_token": None}
    folder = written(tmp_path, len(values["tokenizer.ggml.tokens"]), values)
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode("a").tokens == tokens


def test_roles_ends_and_the_chat_template_come_along(tmp_path: Path) -> None:
    template = "{% for m in messages %}<|start|>{{ m['content'] }}<|end|>{% endfor %}"
    values = byte_level(trained(ORIGINALS["smollm"]), "smollm")
    values |= {"tokenizer.ggml.eot_token_id": 7, "tokenizer.chat_template": template}
    folder = written(tmp_path, len(values["tokenizer.ggml.tokens"]), values)
    assert json.loads((folder / "generation_config.json").read_text()) == {"bos_token_id": 0, "eos_token_id": [1, 7]}
    automatic = AutoTokenizer.from_pretrained(folder)
    assert (automatic.bos_token, automatic.eos_token) == ("<|start|>", "<|end|>")
    text = automatic.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert text == "<|start|>Hi<|end|>"
