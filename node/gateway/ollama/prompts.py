"""Ollama's prompts and conversations as token ids."""

from __future__ import annotations

import asyncio
from functools import partial

from node.gateway.conversations import conversation_prompt, require_decoder
from node.gateway.errors import InvalidRequestError
from node.gateway.generation import Message, OfferedModel
from node.gateway.ollama.types import MESSAGE_NEUTRAL, OllamaGenerateRequest, OllamaMessage
from node.gateway.parameters import refuse_parameter, refuse_parameters

_ROLES = ("system", "user", "assistant")


async def generate_prompt(model: OfferedModel, asked: OllamaGenerateRequest) -> tuple[int, ...]:
    """Token ids of a prompt: in the model's chat format, where it has one. Raises InvalidRequestError."""
    require_decoder(model)
    before, text = _context(model, asked), asked.prompt or ""
    if asked.raw:
        for name in ("system", "context"):
            if getattr(asked, name):
                refuse_parameter(f"{name} of a raw prompt")
        return tuple(await asyncio.to_thread(model.files.codec.encode, text, most=model.context))
    if not model.is_chat:
        if asked.system:
            refuse_parameter("system")  # a model that continues texts has no place for it
        encode = partial(model.files.codec.encode_plain, text, special=not before, most=model.context)
        return (*before, *await asyncio.to_thread(encode))
    system = [{"role": "system", "content": asked.system}] if asked.system else []
    return (*before, *await conversation_prompt(model, [*system, {"role": "user", "content": text}]))


async def chat_messages_prompt(model: OfferedModel, messages: list[OllamaMessage]) -> tuple[int, ...]:
    """Token ids of a conversation. Raises InvalidRequestError."""
    return await conversation_prompt(model, [_message(at, one) for at, one in enumerate(messages)])


async def returned_context(model: OfferedModel, prompt: tuple[int, ...], answer: str) -> list[int]:
    """Token ids of prompt and answer, which a later request may give as its ``context``."""
    return [*prompt, *await asyncio.to_thread(model.files.codec.encode_plain, answer)]


def _message(at: int, one: OllamaMessage) -> Message:
    where = f"messages[{at}]."
    if one.role not in _ROLES:
        raise InvalidRequestError(
            f"{where}role is none that this gateway knows",
            advice=f"Use {', '.join(_ROLES[:-1])} or {_ROLES[-1]}.",
            param=f"{where}role",
        )
    refuse_parameters(one.model_extra or {}, MESSAGE_NEUTRAL, where)
    return {"role": one.role, "content": one.content or ""}


def _context(model: OfferedModel, asked: OllamaGenerateRequest) -> tuple[int, ...]:
    tokens, vocab = tuple(asked.context or ()), model.files.program.shape.vocab
    if any(not 0 <= token < vocab for token in tokens):
        raise InvalidRequestError(
            f"context holds a number that is no token of {model.name}",
            advice="Give what an earlier answer of the same model returned.",
            param="context",
        )
    return tokens
