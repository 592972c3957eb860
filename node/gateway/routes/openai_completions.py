"""``POST /v1/completions``."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from node.gateway.accounts import Caller
from node.gateway.delivery import PARTS_AT_ONCE, all_of, begun_pieces, whole_text
from node.gateway.deps import AppDeps, Deps, PayingCaller
from node.gateway.errors import GatewayError, InvalidRequestError
from node.gateway.event_stream import DONE, event, event_response
from node.gateway.exchange import arrange_answers
from node.gateway.generation import Generation, OfferedModel
from node.gateway.openai.chat import finish_of, usage_of
from node.gateway.openai.completions import (
    Completion,
    OnePrompt,
    OpenAICompletionRequest,
    completion_head,
    completion_reply,
    prompts_of,
    sampled_tokens,
)
from node.gateway.openai.errors import openai_error

router = APIRouter()


@router.post("/v1/completions")
async def completions(body: OpenAICompletionRequest, deps: AppDeps, caller: PayingCaller) -> Response:
    """Continue texts, or score them."""
    body.require_possible()
    model, created = deps.service.model(body.model), int(time.time())
    prompts = await asyncio.to_thread(prompts_of, model, body.prompt)
    if caller.payment is not None and (len(prompts) > 1 or body.logprobs is not None):
        raise InvalidRequestError(
            "a payment is for one answer, without logprobs",
            advice="Send one prompt, or use an API key.",
            param="prompt",
        )
    if body.limit:
        for one in prompts:  # all of them first: one that cannot be asked would let the others be paid in vain
            deps.service.require_answerable(body.generation(model, one.tokens))
    if body.stream:
        generations = [await deps.service.generate(caller, body.generation(model, one.tokens)) for one in prompts]
        first = await begun_pieces(generations[0])
        return event_response(_chunks(body, generations, first, created))
    at_once = PARTS_AT_ONCE if body.logprobs is None else PARTS_AT_ONCE // 2  # scores are reserved for, too
    found = await all_of((_complete(deps, caller, model, body, one) for one in prompts), at_once)
    ids = [one.generation.id for one in found if one.generation]
    arrange_answers(ids)
    id = next(iter(ids), secrets.token_hex(16))
    return JSONResponse(completion_reply(model, id, created, body, found))


async def _complete(
    deps: Deps, caller: Caller, model: OfferedModel, body: OpenAICompletionRequest, prompt: OnePrompt
) -> Completion:
    """One prompt's answer; whether its scores can be had is known before the answer is asked for."""
    if body.logprobs is None:
        return await _continue(deps, caller, model, body, prompt)
    async with deps.service.scoring(caller, model.name, prompt.tokens, body.limit) as score:
        found = await _continue(deps, caller, model, body, prompt)
        tokens = prompt.tokens
        if found.generation is not None:
            tokens += await asyncio.to_thread(sampled_tokens, found.generation, found.text)
        return replace(found, scores=await score(tokens, body.logprobs))


async def _continue(
    deps: Deps, caller: Caller, model: OfferedModel, body: OpenAICompletionRequest, prompt: OnePrompt
) -> Completion:
    if not body.limit:
        return Completion(prompt, "", None)
    generation = await deps.service.generate(caller, body.generation(model, prompt.tokens))
    return Completion(prompt, await whole_text(generation), generation)


async def _chunks(
    body: OpenAICompletionRequest, generations: Sequence[Generation], first: AsyncIterator[str], created: int
) -> AsyncIterator[bytes]:
    """One prompt's answer after the other."""
    head = completion_head(generations[0].model, generations[0].id, created)
    usage = {"usage": None} if body.wants_usage else {}

    def chunk(index: int, text: str, finish: str | None = None) -> bytes:
        choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
        return event({**head, "choices": [choice], **usage})

    try:
        for index, generation in enumerate(generations):
            async for piece in (await begun_pieces(generation)) if index else first:
                yield chunk(index, piece)
            yield chunk(index, "", finish_of(generation))
    except GatewayError as error:
        yield event(openai_error(error))
        return
    if body.wants_usage:
        counts = [(one.prompt_tokens, one.completion_tokens) for one in generations]
        prompt, sampled = (sum(column) for column in zip(*counts, strict=True))
        yield event({**head, "choices": [], "usage": usage_of(prompt, sampled)})
    yield DONE
