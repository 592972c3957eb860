"""Conversations of very many messages: refused before anything is made of them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from nexus_chain.versions.chat import ChatTemplate
from node.gateway.conversations import conversation_prompt
from node.gateway.errors import ContextTooLongError
from tests.support.scripted_service import CONTEXT, scripted_models

pytestmark = pytest.mark.fast


def test_more_messages_than_the_context_has_tokens_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*words: object) -> None:
        raise AssertionError("the template was run")

    monkeypatch.setattr(ChatTemplate, "render", never)
    (chat,) = [model for model in scripted_models(tmp_path) if model.is_chat]
    messages = [{"role": "user", "content": "a"}] * (CONTEXT + 1)
    with pytest.raises(ContextTooLongError, match=f"^{CONTEXT + 1} messages exceed"):
        asyncio.run(conversation_prompt(chat, messages))


def test_the_search_for_messages_does_not_grow_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pattern, made once: with an alternative for each message a long conversation took minutes."""
    template = ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}", {}, "small")
    template.write([{"role": "user", "content": "a"}])  # compiles what is compiled once

    def never(*words: object) -> None:
        raise AssertionError("a pattern was made for these messages")

    monkeypatch.setattr(re, "compile", never)
    monkeypatch.setattr(re, "split", never)
    found = template.write([{"role": "user", "content": text} for text in ("one", "", "m" + "0" * 24 + "x")])
    assert found.text == "<user>one</><user></><user>m000000000000000000000000x</>"
    assert [found.text[start:end] for start, end in found.contents] == ["one", "", "m000000000000000000000000x"]
