"""The radar, live."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from node.gateway.deps import AppDeps
from node.gateway.errors import NotFoundError
from node.gateway.event_stream import event_response, lasting_events
from node.gateway.shared_places import remote_address

router = APIRouter()


@router.get("/page/radar")
async def radar_events(request: Request, deps: AppDeps) -> StreamingResponse:
    """An event ``sighting`` now, and whenever the gateway has looked again. Anybody may follow: it names no caller."""
    if deps.radar is None:
        raise NotFoundError("this gateway has no radar", advice="Ask its operator.")
    return event_response(lasting_events(deps.radar.follow(remote_address(request.scope)), deps.leaving))
