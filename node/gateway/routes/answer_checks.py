"""``POST /v1/verifications``: an answer of another gateway, recomputed here for who reads it on that one's page.

The only route that pages of other sites may ask, and only those of the gateways that this one's operator names (CORS).
Nothing of a caller is asked for or kept: no key, no cookie.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from nexus_chain.errors import NexusError
from node.gateway.answer_checks import AnswerCheckDesk
from node.gateway.client_errors import told
from node.gateway.deps import AppDeps, Deps
from node.gateway.errors import ForbiddenError, NotFoundError
from node.gateway.event_stream import event_response, lasting_events

router = APIRouter()

_PREFLIGHT = {
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "content-type",
    "access-control-max-age": "600",
}


@router.options("/v1/verifications", include_in_schema=False)
async def may_ask(request: Request, deps: AppDeps) -> Response:
    """What a browser asks before it sends another site's request."""
    return Response(status_code=204, headers=_allowed(request, _desk(deps)) | _PREFLIGHT)


@router.post("/v1/verifications")
async def check_answer(request: Request, deps: AppDeps) -> StreamingResponse:
    """Server-sent events: ``progress``, then ``verdict`` or ``error``. Raises ForbiddenError for another origin."""
    desk = _desk(deps)
    headers = _allowed(request, desk)
    try:
        events = await desk.begin(await request.body(), request.client.host if request.client else "")
    except NexusError as error:
        refused = told(error)
        refused.headers |= headers  # so that the page can read why
        raise refused from error
    response = event_response(lasting_events(events, deps.leaving))
    response.headers.update(headers)
    return response


def _desk(deps: Deps) -> AnswerCheckDesk:
    if deps.checks is None:
        raise NotFoundError("this gateway checks no answers of others", advice="Run `nexus verify` yourself.")
    return deps.checks


def _allowed(request: Request, desk: AnswerCheckDesk) -> dict[str, str]:
    """INVARIANT: the origin is allowed by name, and never by a pattern; no credentials are."""
    origin = request.headers.get("origin", "")
    if origin not in desk.origins:
        raise ForbiddenError(
            "this gateway checks answers for the pages of other gateways, and not for this one",
            advice="Ask its operator, who names them with --verify-for.",
        )
    return {"access-control-allow-origin": origin, "vary": "origin"}
