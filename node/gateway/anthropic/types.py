"""Requests of Anthropic's interface: what is followed has a field here.

Whatever else a request says is kept aside by pydantic and refused by name, unless it changes no answer (the
``..._NEUTRAL`` tables).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from node.gateway.parameters import Flag, Neutral, Number, StopTexts, Whole

ANTHROPIC_NEUTRAL: Neutral = {
    "tools": ([],), "mcp_servers": ([],), "tool_choice": ({"type": "none"}, {"type": "auto"}), "top_p": (1,),
    "thinking": ({"type": "disabled"},), "output_config": ({},), "speed": ("standard",),
}  # fmt: skip
BLOCK_NEUTRAL: Neutral = {"citations": ([],)}


class AnthropicBlock(BaseModel):
    """A part of a message. ``cache_control`` is accepted: nothing is kept between requests.

    Fields of other types than ``text`` are not read: these blocks are refused.
    """

    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = None
    cache_control: Any = None


Content = str | list[AnthropicBlock]


class AnthropicTurn(BaseModel):
    """A message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["user", "assistant"]
    content: Content


class _Conversation(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[AnthropicTurn], Field(min_length=1)]
    system: Content | None = None
    cache_control: Any = None


class AnthropicCountRequest(_Conversation):
    """A conversation whose tokens are counted."""


class AnthropicMetadata(BaseModel):
    """Accepted, and neither kept nor passed on."""

    user_id: str | None = None


class AnthropicMessagesRequest(_Conversation):
    """``max_tokens``: most tokens of the answer. A last message of the assistant is continued."""

    max_tokens: Annotated[Whole, Field(ge=1)]
    temperature: Annotated[Number, Field(ge=0, le=1)] = 1.0
    stop_sequences: StopTexts = []
    stream: Flag = False
    metadata: AnthropicMetadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
