"""Messages of a conversation, as OpenAI's clients write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from node.gateway.conversations import conversation_prompt
from node.gateway.errors import InvalidRequestError, UnsupportedParameterError
from node.gateway.generation import Message, OfferedModel

#: What a reply of ours, sent back in a conversation, has beside role and content.
_OF_REPLIES = {"id", "type", "status", "annotations", "phase"}
_TEXT_PARTS = ("text", "input_text", "output_text")
#: What a part of a reply of ours has beside its text.
_OF_REPLIED_PARTS = {"annotations", "logprobs"}


class ContentPart(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str
    text: str | None = None


class OpenAIMessage(BaseModel):
    """``content``: a text, or parts of which all are texts."""

    model_config = ConfigDict(extra="allow", strict=True)

    role: str
    content: str | list[ContentPart] | None = None

    def plain(self) -> Message:
        """Role and text, as chat templates take them. Raises InvalidRequestError."""
        _refuse_others(self, _OF_REPLIES, "a message", "Send role and content.")
        return {"role": _role(self.role), "content": _text(self.content)}


async def chat_tokens(
    model: OfferedModel, messages: Sequence[OpenAIMessage], param: str = "messages"
) -> tuple[int, ...]:
    """Token ids up to where the answer begins. Raises InvalidRequestError."""
    if not messages:
        raise InvalidRequestError("there are no messages", advice="Send at least one.", param=param)
    return await conversation_prompt(model, [message.plain() for message in messages])


def _refuse_others(given: BaseModel, known: set[str], of_what: str, advice: str) -> None:
    """Raise UnsupportedParameterError for a field that is not declared, says something, and is not ``known``."""
    for name, value in (given.model_extra or {}).items():
        if value not in (None, [], {}) and name not in known:
            raise UnsupportedParameterError(f"{name} of {of_what} cannot be followed", advice=advice, param="messages")


def _role(role: str) -> Literal["system", "user", "assistant"]:
    match role:
        case "system" | "developer":  # newer clients' word for the same
            return "system"
        case "user" | "assistant":
            return role
    raise UnsupportedParameterError(
        f"messages of the role {role!r} cannot be followed", advice="Use system, user and assistant.", param="messages"
    )


def _text(content: str | list[ContentPart] | None) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        raise InvalidRequestError("a message has no content", advice="Give it a text.", param="messages")
    for part in content:
        if part.type not in _TEXT_PARTS or part.text is None:
            raise UnsupportedParameterError(
                f"a part of the type {part.type!r} cannot be followed", advice="Send texts.", param="messages"
            )
        _refuse_others(part, _OF_REPLIED_PARTS, "a part of a message", "Send its type and its text.")
    return "".join(part.text or "" for part in content)
