"""An answer on its way to whoever asked: whole, or in pieces once the first is there.

That an answer ends with its request, however this ends, is the middleware's part.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from node.gateway.errors import UnavailableError
from node.gateway.generation import Generation

_Given = TypeVar("_Given")

PARTS_AT_ONCE = 8
"""Parts of one request that are done at once: fewer than the answers that an account may have under way."""


async def all_of(asked: Iterable[Coroutine[Any, Any, _Given]], at_once: int = PARTS_AT_ONCE) -> list[_Given]:
    """What each gives, so many at once; after one that fails the others are ended, so none is paid for nothing."""
    turn = asyncio.Semaphore(at_once)

    async def in_turn(one: Coroutine[Any, Any, _Given]) -> _Given:
        try:
            async with turn:
                return await one
        finally:
            one.close()  # where it was ended before its turn

    tasks = [asyncio.create_task(in_turn(one)) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def whole_text(generation: Generation, at_piece: Callable[[], None] = lambda: None) -> str:
    """The answer's text; its caller is given nothing of one that fails. ``at_piece`` is called as each piece comes.

    Raises GatewayError.
    """
    text = ""
    async for piece in _pieces(generation):
        at_piece()
        text += piece
    return text


async def begun_pieces(generation: Generation) -> AsyncIterator[str]:
    """The answer's pieces, none empty, once the first is there: what fails before it still has an HTTP status.

    Raises GatewayError, and so does iterating.
    """
    pieces = _pieces(generation)
    first = await anext(pieces, None)
    if first is not None:
        generation.note_delivery()
    return _preceded(first, pieces)


async def _pieces(generation: Generation) -> AsyncIterator[str]:
    async for piece in generation:
        if piece:
            yield piece
    if generation.finish == "cancelled":
        raise UnavailableError("the answer was ended before it was complete", advice="Ask again.", retry_after=1.0)


async def _preceded(first: str | None, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    if first is not None:
        yield first
        async for piece in pieces:
            yield piece
