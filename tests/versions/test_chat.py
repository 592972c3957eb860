"""Conversations are written as ``transformers`` writes them, and nobody's message writes control tokens."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from nexus_chain.versions.errors import ChatFormatError
from nexus_chain.versions.text_codec import TextCodec
from tests.support.small_tokenizers import CHATML, byte_fallback, byte_level, first_token, keep

LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}"
    "{% else %}{% set loop_messages = messages %}{% set system = '' %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + (system if loop.first else '') }}"
    "{{ message['content'] | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
GENERATION = (
    "{%- for message in messages %}\n    {%- if message.role == 'assistant' %}{% generation %}{{ message.content }}"
    "{% endgeneration %}{% continue %}{% endif %}\n<s>{{ message.role | tojson }}"
    "{{ message.content }}</s>\n{%- endfor %}"
)
LAST_PART = (
    "{% for m in messages %}{% set text = m.content.split('</think>')[-1] %}"
    "<|im_start|>{{ m.role }}\n{{ text }}<|im_end|>"
    "{% endfor %}"
)
NAMES = ("<|im_start|>", "<|im_end|>", "<s>", "</s>")
NAMED = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
FORMATS: dict[str, tuple[Tokenizer, str]] = {
    "ChatML": (byte_level(*NAMES), CHATML),
    "ChatML where raw texts begin with a token": (first_token(byte_level(*NAMES), "<s>"), CHATML),
    "Llama 2": (first_token(byte_fallback(), "<s>"), LLAMA2),
    "marks for training": (byte_level(*NAMES), GENERATION),
    "rewritten messages": (byte_level(*NAMES), LAST_PART),
}


def kept(folder: Path, name: str) -> TextCodec:
    tokenizer, template = FORMATS[name]
    return TextCodec(keep(folder, tokenizer, tokenizer_config={**NAMED, "chat_template": template}))


def talk(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    said = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(contents)]
    return ([{"role": "system", "content": system}] if system is not None else []) + said


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "messages", [talk("hello"), talk(" hi\n", "he <b>", "數 é 🦊"), talk("", "x", "\n\n"), talk("a", system="be brief")]
)
def test_tokens_are_those_of_transformers(name: str, messages: Any, tmp_path: Path) -> None:
    codec = kept(tmp_path, name)
    other = AutoTokenizer.from_pretrained(str(tmp_path))
    found = other.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    assert codec.chat_prompt(messages) == found


WORDS = (
    "hello", " world", "\n", "\n\n  - ", "\t", "数", "学", "é", "e\u0301", "🦊", "👩\u200d💻", "한국어", "ção",
    "</think>", "<b>", "&amp;", "{{ x }}", "{% if %}", "'", '"', "\\n", "1234567890", "3.14", "  ", "’",
    "def f(x):\n    return x", "\u202eabc", "\x00",
)  # fmt: skip


def random_talk(chance: random.Random) -> list[dict[str, str]]:
    """A conversation of 1 to 9 messages, with a system prompt in two of three."""
    texts = ["".join(chance.choices(WORDS, k=chance.randrange(12))) for _ in range(1 + 2 * chance.randrange(5))]
    system = "".join(chance.choices(WORDS, k=6)) if chance.random() < 2 / 3 else None
    return talk(*texts, system=system)


@pytest.mark.parametrize("name", FORMATS)
def test_conversations_in_many_scripts_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    codec, chance = kept(tmp_path, name), random.Random(15)
    other = AutoTokenizer.from_pretrained(str(tmp_path))
    for _ in range(50):
        messages = random_talk(chance)
        found = other.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
        assert codec.chat_prompt(messages) == found


PIECES = [*NAMES, "<|im_", "start|>", "end|>", "<", "s>", "assistant\n", " ", "\n", "he", "é"]


@pytest.mark.parametrize("name", ["ChatML", "Llama 2", "marks for training"])
@given(contents=st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), min_size=1, max_size=3))
def test_messages_add_no_control_token(
    name: str, contents: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    codec = CODECS.setdefault(name, kept(tmp_path_factory.mktemp("chat"), name))
    control = {codec.tokenizer.token_to_id(text) for text in codec.control_texts} - {None}

    def structure(said: list[str]) -> list[int]:
        return [token for token in codec.chat_prompt(talk(*said)) if token in control]

    assert structure(contents) == structure(["h"] * len(contents))


CODECS: dict[str, TextCodec] = {}


def test_a_message_reads_as_it_was_typed(tmp_path: Path) -> None:
    codec = kept(tmp_path, "ChatML")
    assert codec.decode(codec.chat_prompt(talk("say <|im_end|> twice"))) == "user\nsay <|im_end|> twice\nassistant\n"


def test_a_template_of_its_own_file_comes_first(tmp_path: Path) -> None:
    kept(tmp_path, "Llama 2")
    (tmp_path / "chat_template.jinja").write_text("{{ messages[0].content }}!")
    codec = TextCodec(tmp_path / "tokenizer.json")
    assert codec.decode(codec.chat_prompt(talk("he"))).strip() == "he!"


def test_of_several_templates_the_default_is_taken(tmp_path: Path) -> None:
    several = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes"}]
    files = {"tokenizer_config": {**NAMED, "chat_template": several}}
    codec = TextCodec(keep(tmp_path, byte_level(), **files))
    assert codec.decode(codec.chat_prompt(talk("he"))) == "yes"


def test_a_rewritten_message_that_names_a_control_token_is_refused(tmp_path: Path) -> None:
    codec = kept(tmp_path, "rewritten messages")
    assert codec.decode(codec.chat_prompt(talk("a</think>b"))) == "user\nb"
    with pytest.raises(ChatFormatError, match=r"says '<\|im_end\|>'"):
        codec.chat_prompt(talk("a</think>b<|im_end|>"))


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{"role": "user", "content": "a"}] * 2, "Roles must alternate"),
        ([{"role": "<|im_start|>", "content": "a"}], "no role"),
        ([{"role": "user"}], "no text"),
        ([], "does not take these messages"),
    ],
)
def test_what_a_template_refuses_is_said(messages: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ChatFormatError, match=problem):
        kept(tmp_path, "Llama 2").chat_prompt(messages)


@pytest.mark.parametrize(
    "template",
    ["{{ ''.__class__.__mro__ }}", "{% for x in range(10**9) %}{% endfor %}", "{% if %}", "{{ messages.append(1) }}"],
)
def test_a_hostile_template_does_no_harm(template: str, tmp_path: Path) -> None:
    codec = TextCodec(keep(tmp_path, byte_level(), tokenizer_config={"chat_template": template}))
    with pytest.raises(ChatFormatError):
        codec.chat_prompt(talk("a"))


def test_a_model_without_a_chat_format(tmp_path: Path) -> None:
    codec = TextCodec(keep(tmp_path, byte_level()))
    assert codec.chat_template is None
    with pytest.raises(ChatFormatError, match="no chat format"):
        codec.chat_prompt(talk("a"))
