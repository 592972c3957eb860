"""A model's chat format: its Jinja template, run in a sandbox as ``transformers`` runs it.

A template is a stranger's program and messages are a stranger's text. So where the messages stand in what the
template writes is found by running it twice: once with marks that nobody can guess in place of the messages, once
with the messages.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nexus_chain.versions.errors import ChatFormatError

_ROLE = re.compile(r"[a-z][a-z_]{0,31}")
#: What a template's code raises.
_REFUSALS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError)
_MARK = re.compile(r"(m[0-9a-f]{24}x)")
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class WrittenChat:
    """A conversation as a text, and the spans [start, end) of it that messages wrote."""

    text: str
    contents: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ChatTemplate:
    """A template's source, and the special tokens that it may name (``bos_token``, ...)."""

    source: str
    tokens: Mapping[str, str]

    @staticmethod
    def of(found: ChatTemplate | None) -> ChatTemplate:
        """``found``. Raises ChatFormatError where there is none."""
        if found is None:
            raise ChatFormatError(
                "this model has no chat format", advice="Ask it to continue a text: `nexus ask --raw`, or `prompt_of`."
            )
        return found

    def write(self, messages: Messages, control: Sequence[str] = (), *, answering: bool = True) -> WrittenChat:
        """The conversation, and with ``answering`` the beginning of an answer.

        ``control``: texts that no message may turn into tokens. Raises ChatFormatError where the template refuses
        the messages, and where it changes one that holds such a text, so that nobody could tell whose it is.
        """
        for message in messages:
            _require_message(message)
        text = self._render(messages, answering)
        marks = [f"m{secrets.token_hex(12)}x" for _ in messages]
        marked = self._render([{**m, "content": k} for m, k in zip(messages, marks, strict=True)], answering)
        contents = [message["content"] for message in messages]
        for change in (_as_it_is, str.strip):
            if (found := _filled(marked, dict(zip(marks, map(change, contents), strict=True)))).text == text:
                return found
        if held := [name for name in control for content in contents if name in content]:
            raise ChatFormatError(
                f"the chat template rewrites its messages, and one of them says {held[0]!r}, a control token",
                advice="Leave that text out of the message.",
            )
        return WrittenChat(text, ())

    def _render(self, messages: Messages, answering: bool) -> str:
        from jinja2 import TemplateError

        words = {"messages": [dict(m) for m in messages], "tools": None, "documents": None, **self.tokens}
        try:
            return str(self._compiled.render(**words, add_generation_prompt=answering))
        except (TemplateError, *_REFUSALS) as error:
            raise ChatFormatError(
                f"the chat template does not take these messages: {error}",
                advice="Change their roles or their order, or ask with --raw.",
            ) from error

    @cached_property
    def _compiled(self) -> Any:
        from jinja2 import TemplateError

        try:
            return _environment().from_string(self.source)
        except TemplateError as error:
            raise ChatFormatError(
                f"the chat template is no Jinja that is understood: {error}",
                advice="Download the model's files again, or ask with --raw.",
            ) from error


def _as_it_is(text: str) -> str:
    return text


def _require_message(message: Mapping[str, str]) -> None:
    """Raise ChatFormatError unless a message has a role that is a plain word, and a text."""
    if not _ROLE.fullmatch(str(message.get("role", ""))):
        raise ChatFormatError(
            f"{message.get('role')!r} is no role of a message", advice="Use system, user, assistant or tool."
        )
    if not isinstance(message.get("content"), str):
        raise ChatFormatError("a message has no text", advice="Give each message a content, as a string.")


def _filled(marked: str, contents: Mapping[str, str]) -> WrittenChat:
    """``marked`` with the messages in place of their marks."""
    if not contents:
        return WrittenChat(marked, ())
    written, length, spans = [], 0, []
    # One pattern for all marks: alternatives would be tried one after the other, at each of them.
    for piece in _MARK.split(marked):
        filled = contents.get(piece, piece)
        if piece in contents:
            spans.append((length, length + len(filled)))
        written.append(filled)
        length += len(filled)
    return WrittenChat("".join(written), tuple(spans))


def _environment() -> Any:
    """Jinja as chat templates expect it."""
    import json
    from datetime import datetime

    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """``{% generation %}`` marks for training what an assistant wrote; here it says nothing."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> list[nodes.Node]:
            next(parser.stream)
            found: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return found

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def to_json(value: Any, **shape: Any) -> str:
        return json.dumps(value, **{"ensure_ascii": False, **shape})

    now: Callable[[str], str] = lambda form: datetime.now().strftime(form)  # noqa: E731  # the user's own day
    found = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    found.filters["tojson"] = to_json
    found.globals.update(raise_exception=refuse, strftime_now=now)
    return found
