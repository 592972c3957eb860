"""Texts to embed as token ids, and vectors as Ollama gives them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from node.gateway.errors import ContextTooLongError, InvalidRequestError
from node.gateway.generation import OfferedModel


def require_encoder(model: OfferedModel) -> None:
    """Raise InvalidRequestError for a model that continues texts."""
    if not model.is_encoder:
        raise InvalidRequestError(
            f"{model.name} does not support embeddings", advice="Name an encoder: see /api/tags.", param="model"
        )


def text_tokens(model: OfferedModel, text: str, *, truncate: bool) -> list[int]:
    """Token ids of a text, with what the tokenizer puts around it.

    ``truncate``: a text that is too long loses its end; else it raises ContextTooLongError.
    """
    codec, room = model.files.codec, model.context - 1  # the answer of an encoder takes one position
    tokens = codec.encode_plain(text, special=True, most=None if truncate else model.context)
    if len(tokens) <= room:
        return tokens
    if not truncate:
        raise ContextTooLongError(
            f"the text's {len(tokens)} tokens exceed the {room} that {model.name} embeds",
            advice="Shorten it, or let it be cut: truncate.",
            param="input",
        )
    plain = codec.encode_plain(text)
    extra = len(tokens) - len(plain)
    start = next(at for at in range(extra + 1) if tokens[at : at + len(plain)] == plain)
    return [*tokens[:start], *plain[: room - extra], *tokens[start + len(plain) :]]


def unit_length(vector: Sequence[float]) -> list[float]:
    """The vector over its length; one of length 0 as it is."""
    length = math.sqrt(math.fsum(x * x for x in vector))
    return [x / length for x in vector] if length else list(vector)
