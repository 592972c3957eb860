"""The radar, live."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from node.gateway.deps import AppDeps
from node.gateway.errors import NotFoundError
from node.gateway.event_stream import event, event_response, lasting_events

router = APIRouter()


@router.get("/page/radar")
async def radar_events(deps: AppDeps) -> StreamingResponse:
    """An event ``sighting`` now, and whenever the gateway has looked again. Anybody may follow: it names no caller."""
    if deps.radar is None:
        raise NotFoundError("this gateway has no radar", advice="Ask its operator.")
    return event_response(lasting_events(_events(deps.radar.follow()), deps.leaving))


async def _events(sightings: AsyncIterator[Mapping[str, Any]]) -> AsyncGenerator[bytes, None]:
    async for sighting in sightings:
        yield event(sighting, "sighting")
