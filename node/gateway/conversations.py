"""Conversations as token ids: the model's own chat format, and an answer that the caller has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nexus_chain.versions.errors import ChatFormatError
from node.gateway.errors import ContextTooLongError, InvalidRequestError
from node.gateway.generation import Message, OfferedModel


async def conversation_prompt(model: OfferedModel, messages: Sequence[Message]) -> tuple[int, ...]:
    """Token ids up to where the model goes on.

    A last message of the assistant is an answer that has begun: its text follows where an answer begins, and the
    model continues it. Raises InvalidRequestError.
    """
    require_decoder(model)
    if len(messages) > model.context:  # each takes a token at least: known before any work is done for it
        raise ContextTooLongError(
            f"{len(messages)} messages exceed the model's context of {model.context} tokens",
            advice="Send fewer messages.",
        )
    if not model.is_chat:
        raise InvalidRequestError(
            f"{model.name} has no chat format: it continues texts",
            advice="Ask it through /v1/completions or /api/generate.",
            param="messages",
        )
    return await asyncio.to_thread(_prompt, model, messages)


def require_decoder(model: OfferedModel) -> None:
    """Raise InvalidRequestError for an encoder."""
    if model.is_encoder:
        raise InvalidRequestError(
            f"{model.name} embeds texts and does not generate any",
            advice="Ask for embeddings, or name another model.",
            param="model",
        )


def room_for_answer(model: OfferedModel, prompt: Sequence[int], context: int | None = None) -> int:
    """Most tokens that an answer to ``prompt`` can have, at least one.

    ``context``: positions that the caller allows, where that is fewer than the model has. Raises ContextTooLongError.
    """
    positions = min(model.context, context or model.context)
    if len(prompt) >= positions:
        raise ContextTooLongError(
            f"the prompt's {len(prompt)} tokens leave no room for an answer in a context of {positions}",
            advice=f"Shorten the prompt to at most {positions - 1} tokens.",
        )
    return positions - len(prompt)


def _prompt(model: OfferedModel, messages: Sequence[Message]) -> tuple[int, ...]:
    codec = model.files.codec
    begun = messages[-1]["content"] if messages and messages[-1]["role"] == "assistant" else None
    try:
        tokens = codec.chat_prompt(messages if begun is None else messages[:-1], most=model.context)
    except ChatFormatError as error:
        raise InvalidRequestError(
            error.message, advice="Change the messages' roles, order or texts.", param="messages"
        ) from error
    return (*tokens, *codec.encode_plain(begun or "", most=model.context))
