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
        for name, value in (self.model_extra or {}).items():
            if value not in (None, [], {}) and name not in _OF_REPLIES:
                raise UnsupportedParameterError(
                    f"{name} of a message cannot be followed", advice="Send role and content.", param="messages"
                )
        return {"role": _role(self.role), "content": _text(self.content)}


async def chat_tokens(
    model: OfferedModel, messages: Sequence[OpenAIMessage], param: str = "messages"
) -> tuple[int, ...]:
    """Token ids up to where the answer begins. Raises InvalidRequestError."""
    if not messages:
        raise InvalidRequestError("there are no messages", advice="Send at least one.", param=param)
    return await conversation_prompt(model, [message.plain() for message in messages])


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
    return "".join(part.text or "" for part in content)
