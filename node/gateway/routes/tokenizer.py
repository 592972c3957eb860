"""``/tokenize``, ``/detokenize``, ``/tokenizer_info``: as evaluation harnesses ask a server for its tokenizer.

Names of control tokens in a text are these tokens here: it is the tokenizer that is asked, and not the model. What
``/v1/completions`` is asked to continue stays text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from node.gateway.deps import AppDeps, Deps, KnownCaller
from node.gateway.errors import InvalidRequestError, UnsupportedParameterError
from node.gateway.generation import OfferedModel
from node.gateway.openai.completions import token_text
from node.gateway.openai.messages import OpenAIMessage, chat_tokens

router = APIRouter()


class TokenizeRequest(BaseModel):
    """A text or a conversation; without ``model`` the first that writes texts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = None
    prompt: str | None = None
    messages: list[OpenAIMessage] | None = None
    add_special_tokens: bool = True
    add_generation_prompt: bool = True
    return_token_strs: bool | None = False


class DetokenizeRequest(BaseModel):
    """Token ids; without ``model`` the first that writes texts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = None
    tokens: list[int]


@router.post("/tokenize")
async def tokenize(body: TokenizeRequest, deps: AppDeps, caller: KnownCaller) -> JSONResponse:
    """Token ids of a text, or of a conversation."""
    model = _model(deps, body.model)
    if (body.prompt is None) == (body.messages is None):
        raise InvalidRequestError("give either prompt or messages", advice="Send one of them.", param="prompt")
    if body.messages is not None:
        if not body.add_generation_prompt:
            raise UnsupportedParameterError(
                "a conversation is counted as it is asked", advice="Leave it out.", param="add_generation_prompt"
            )
        tokens = list(await chat_tokens(model, body.messages))
    else:
        tokens = await asyncio.to_thread(model.files.codec.encode, body.prompt or "", special=body.add_special_tokens)
    texts = await asyncio.to_thread(_texts, model, tokens) if body.return_token_strs else None
    return JSONResponse({"count": len(tokens), "max_model_len": model.context, "tokens": tokens, "token_strs": texts})


@router.post("/detokenize")
async def detokenize(body: DetokenizeRequest, deps: AppDeps, caller: KnownCaller) -> JSONResponse:
    """The text of token ids, control tokens by their names."""
    model = _model(deps, body.model)
    vocabulary = model.files.program.shape.vocab
    if any(not 0 <= token < vocabulary for token in body.tokens):
        raise InvalidRequestError(
            "an id is outside the vocabulary", advice=f"Ids are 0 to {vocabulary - 1}.", param="tokens"
        )
    text = await asyncio.to_thread(model.files.codec.decode_named, body.tokens)
    return JSONResponse({"prompt": text})


@router.get("/tokenizer_info")
async def tokenizer_info(deps: AppDeps, caller: KnownCaller, model: str | None = None) -> JSONResponse:
    """What the tokenizer's files declare."""
    offered = _model(deps, model)
    codec = offered.files.codec
    template = codec.chat_template
    found: dict[str, Any] = dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"))
    ends = [codec.tokenizer.id_to_token(token) for token in sorted(codec.end_tokens)]
    return JSONResponse(
        {
            **found,
            **codec.special_names,
            "end_tokens": ends,
            "chat_template": None if template is None else template.source,
            "model_max_length": offered.context,
            "tokenizer_class": "PreTrainedTokenizerFast",
        }
    )


def _texts(model: OfferedModel, tokens: Sequence[int]) -> list[str]:
    return [token_text(model, token) for token in tokens]


def _model(deps: Deps, name: str | None) -> OfferedModel:
    if name is not None:
        return deps.service.model(name)
    models = deps.service.models
    return next((model for model in models if not model.is_encoder), models[0])
