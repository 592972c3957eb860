"""A model's chat format: its Jinja template, run in a sandbox as ``transformers`` runs it.

A template is a stranger's program: it runs on a budget of steps that is the same on every machine. Messages are a
stranger's text: where they stand in what the template writes is found by running it twice, once with marks that nobody
can guess in place of the messages, once with the messages.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nexus_chain.versions.errors import ChatFormatError

_ROLE = re.compile(r"[a-z][a-z_]{0,31}")
#: What a template's code raises; the last two come from Python, for code that it cannot make.
_REFUSALS = (
    TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError, SyntaxError,
)  # fmt: skip
#: Characters of a template: twice the longest that is known. Making Python of it takes as long as it is.
MOST_TEMPLATE = 65_536
_MOST_SAID = 300  # characters of what a template says when it refuses
_MARK = re.compile(r"(m[0-9a-f]{24}x)")
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class WrittenChat:
    """A conversation as a text, and the spans [start, end) of it that messages wrote."""

    text: str
    contents: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ChatTemplate:
    """A template's source, the special tokens that it may name (``bos_token``, ...), and the model's name."""

    source: str
    tokens: Mapping[str, str]
    model: str

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
        text = self.render(messages, answering)
        marks = [f"m{secrets.token_hex(12)}x" for _ in messages]
        marked = self.render([{**m, "content": k} for m, k in zip(messages, marks, strict=True)], answering)
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

    def render(self, messages: Messages, answering: bool) -> str:
        """What the template makes of ``messages``, with ``answering`` the beginning of an answer behind.

        Raises ChatFormatError where the template refuses them, or takes more steps than any conversation needs.
        """
        from jinja2.exceptions import SecurityError, TemplateError

        from nexus_chain.versions.template_budget import RenderBudget, spending

        words = {"messages": [dict(m) for m in messages], "tools": None, "documents": None, **self.tokens}
        try:
            with spending(RenderBudget.for_messages(messages)):
                return str(self._compiled.render(**words, add_generation_prompt=answering))
        except SecurityError as error:
            raise self._refusal(error) from error
        except (TemplateError, *_REFUSALS) as error:
            raise ChatFormatError(
                f"the chat template of {self.model} does not take these messages: {_short(error)}",
                advice="Change their roles or their order, or ask with --raw.",
            ) from error

    @cached_property
    def _compiled(self) -> Any:
        from jinja2.exceptions import SecurityError, TemplateError

        from nexus_chain.versions.template_budget import TemplateTooCostlyError
        from nexus_chain.versions.template_sandbox import BoundedSandbox

        try:
            if len(self.source) > MOST_TEMPLATE:
                raise TemplateTooCostlyError(f"it has over {MOST_TEMPLATE} characters")
            return BoundedSandbox().from_string(self.source)
        except SecurityError as error:
            raise self._refusal(error) from error
        except (TemplateError, *_REFUSALS) as error:
            raise ChatFormatError(
                f"the chat template of {self.model} is no Jinja that is understood: {_short(error)}",
                advice="Download the model's files again, or ask with --raw.",
            ) from error

    def _refusal(self, error: Exception) -> ChatFormatError:
        return ChatFormatError(
            f"the chat template of {self.model} is refused: {_short(error)}",
            advice="Do not trust this model: no conversation needs that. Ask it with --raw, or take another one.",
        )


def _short(error: BaseException) -> str:
    """What a template's code says; it may say megabytes."""
    said = str(error)
    return said if len(said) <= _MOST_SAID else f"{said[:_MOST_SAID]}…"


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
