"""Anthropic's messages as a conversation, and its parameters as what the network is asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from node.gateway.anthropic.types import (
    ANTHROPIC_NEUTRAL,
    BLOCK_NEUTRAL,
    AnthropicBlock,
    AnthropicCountRequest,
    AnthropicMessagesRequest,
    Content,
)
from node.gateway.conversations import conversation_prompt, room_for_answer
from node.gateway.errors import InvalidRequestError, UnsupportedParameterError
from node.gateway.generation import GenerationRequest, Message, OfferedModel
from node.gateway.parameters import refuse_parameters, require_temperature

BETWEEN_BLOCKS = "\n"
"""Stands between two blocks of text, and between two messages of one role, which are one turn."""
_GREEDY_HARMLESS = frozenset(("top_k", "top_p"))


async def messages_prompt(
    model: OfferedModel, asked: AnthropicMessagesRequest | AnthropicCountRequest
) -> tuple[int, ...]:
    """Token ids of the conversation up to where the model goes on. Raises InvalidRequestError."""
    greedy = isinstance(asked, AnthropicMessagesRequest) and asked.temperature == 0
    extra = asked.model_extra or {}
    refuse_parameters(
        {name: value for name, value in extra.items() if not (greedy and name in _GREEDY_HARMLESS)}, ANTHROPIC_NEUTRAL
    )
    return await conversation_prompt(model, turns(asked))


def messages_generation(
    model: OfferedModel, prompt: tuple[int, ...], asked: AnthropicMessagesRequest
) -> GenerationRequest:
    """What is asked of the network: at most as many tokens as the context leaves. Raises InvalidRequestError."""
    return GenerationRequest(
        model=model.name,
        prompt=prompt,
        max_tokens=min(asked.max_tokens, room_for_answer(model, prompt)),
        temperature=require_temperature(asked.temperature, "temperature"),
        stop=tuple(asked.stop_sequences),
    )


def turns(asked: AnthropicMessagesRequest | AnthropicCountRequest) -> list[Message]:
    """System text and turns; neighbours of one role are one turn. Raises UnsupportedParameterError."""
    system = _text(asked.system, "system") if asked.system else ""
    found: list[Message] = [{"role": "system", "content": system}] if system else []
    for at, turn in enumerate(asked.messages):
        refuse_parameters(turn.model_extra or {}, {}, f"messages[{at}].")
    said = [(turn.role, _text(turn.content, f"messages[{at}].content")) for at, turn in enumerate(asked.messages)]
    for role, texts in groupby(said, key=lambda one: one[0]):
        found.append({"role": role, "content": BETWEEN_BLOCKS.join(text for _, text in texts)})
    return found


def _text(content: Content, where: str) -> str:
    return content if isinstance(content, str) else BETWEEN_BLOCKS.join(_texts(content, where))


def _texts(blocks: list[AnthropicBlock], where: str) -> Iterator[str]:
    for at, block in enumerate(blocks):
        place = f"{where}[{at}]"
        if block.type != "text":
            kind = block.type.encode(errors="replace").decode()[:32]
            raise UnsupportedParameterError(
                f"{place} is a block of type {kind}: the models here read text",
                advice="Send blocks of type text.",
                param=f"{place}.type",
            )
        if block.text is None:
            raise InvalidRequestError(f"{place} has no text", advice="Give it one.", param=f"{place}.text")
        refuse_parameters(block.model_extra or {}, BLOCK_NEUTRAL, f"{place}.")
        yield block.text
