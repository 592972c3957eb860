"""What the chain says, for anybody: models, nodes, sessions, settlements, disputes, and a stream of what is new.

Everything here is public on the chain, so no key is asked for. Amounts are wei as decimal text. Every answer says in
``as_of`` how old it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from nexus_chain.market.documents import checksum
from nexus_chain.market.errors import DocumentFormatError
from node.gateway.deps import deps_of
from node.gateway.errors import InvalidRequestError, NotFoundError
from node.gateway.event_stream import event_response
from node.gateway.explorer.context import ViewContext
from node.gateway.explorer.dispute_view import disputes_page, find_dispute
from node.gateway.explorer.explorer import Explorer
from node.gateway.explorer.model_view import find_model, models_page
from node.gateway.explorer.node_view import find_node, nodes_page
from node.gateway.explorer.pages import PageRequest
from node.gateway.explorer.session_view import find_session, sessions_page, settlements_page
from node.gateway.explorer.summary_view import summary
from node.gateway.sent_file import SentBytes
from node.gateway.shared_places import remote_address

router = APIRouter(prefix="/explorer")

_HASH = re.compile(r"0x[0-9a-f]{64}\Z")
_View = Callable[[ViewContext], dict[str, Any] | None]


@dataclass(frozen=True)
class AskedExplorer:
    """The gateway's explorer, and the address that asks it."""

    explorer: Explorer
    address: str


def explorer_of(request: Request) -> AskedExplorer:
    """Raises NotFoundError where the gateway has no explorer."""
    found = deps_of(request).explorer
    if found is None:
        raise NotFoundError("this gateway shows no chain", advice="Ask its operator.")
    return AskedExplorer(found, remote_address(request.scope))


def page_request(limit: int = 25, before: str | None = None) -> PageRequest:
    """Raises InvalidRequestError."""
    return PageRequest.of(limit, before)


GatewayExplorer = Annotated[AskedExplorer, Depends(explorer_of)]
WantedPage = Annotated[PageRequest, Depends(page_request)]


async def _answer(asked: AskedExplorer, key: object, make: _View, what: str = "thing") -> Response:
    found = await asked.explorer.document(key, make, asked.address)
    if found is None:
        raise NotFoundError(f"the chain knows no such {what}", advice="Check its id; a new one takes a block or two.")
    return SentBytes(found, asked.explorer.sending, {"cache-control": "no-cache"}, "application/json")


@router.get("/summary")
async def explorer_summary(explorer: GatewayExplorer) -> Response:
    """Counts, sums over all settled lines, and the deployment's times and addresses."""
    return await _answer(explorer, "summary", summary)


@router.get("/models")
async def explorer_models(explorer: GatewayExplorer, page: WantedPage) -> Response:
    """Versions, the newest first."""
    return await _answer(explorer, ("models", page), lambda context: models_page(context, page))


@router.get("/models/{version}")
async def explorer_model(version: str, explorer: GatewayExplorer) -> Response:
    """One version with its nodes and children."""
    id = _hash_of(version, "version")
    return await _answer(explorer, ("model", id), lambda context: find_model(context, id), "model version")


@router.get("/nodes")
async def explorer_nodes(explorer: GatewayExplorer, page: WantedPage) -> Response:
    """Nodes, the newest first."""
    return await _answer(explorer, ("nodes", page), lambda context: nodes_page(context, page))


@router.get("/nodes/{node}")
async def explorer_node(node: str, explorer: GatewayExplorer) -> Response:
    """One node."""
    id = _address_of(node)
    return await _answer(explorer, ("node", id), lambda context: find_node(context, id), "node")


@router.get("/sessions")
async def explorer_sessions(explorer: GatewayExplorer, page: WantedPage) -> Response:
    """Sessions, the newest first."""
    return await _answer(explorer, ("sessions", page), lambda context: sessions_page(context, page))


@router.get("/sessions/{session}")
async def explorer_session(session: str, explorer: GatewayExplorer) -> Response:
    """One session with its events."""
    id = _hash_of(session, "session")
    return await _answer(explorer, ("session", id), lambda context: find_session(context, id), "session")


@router.get("/settlements")
async def explorer_settlements(explorer: GatewayExplorer, page: WantedPage, node: str | None = None) -> Response:
    """Settled lines, the newest first; with ``node`` those of one node."""
    id = None if node is None else _address_of(node)
    return await _answer(explorer, ("settlements", page, id), lambda context: settlements_page(context, page, id))


@router.get("/disputes")
async def explorer_disputes(explorer: GatewayExplorer, page: WantedPage) -> Response:
    """Games, the newest first."""
    return await _answer(explorer, ("disputes", page), lambda context: disputes_page(context, page))


@router.get("/disputes/{game}")
async def explorer_dispute(game: str, explorer: GatewayExplorer) -> Response:
    """One game with its moves."""
    if not game.isascii() or not game.isdigit() or len(game) > 18:
        raise InvalidRequestError(f"{game!r:.40} is no game's number", advice="Give a number.", param="game")
    number = int(game)
    return await _answer(explorer, ("dispute", number), lambda context: find_dispute(context, number), "dispute")


@router.get("/events")
async def explorer_events(request: Request, explorer: GatewayExplorer) -> StreamingResponse:
    """``state``: how far the chain is read; ``event``: one event's ids; ``reset``: ask for everything again."""
    last = request.headers.get("last-event-id") or None
    return event_response(await explorer.explorer.listen(last, explorer.address))


def _hash_of(text: str, param: str) -> str:
    found = text.lower()
    if not _HASH.match(found):
        raise InvalidRequestError(
            f"{text!r:.80} is no {param}", advice="Give 0x and 64 hexadecimal digits.", param=param
        )
    return found


def _address_of(text: str) -> str:
    try:
        return checksum(text)
    except DocumentFormatError as error:
        raise InvalidRequestError(error.message, advice=error.advice, param="node") from error
