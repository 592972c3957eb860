"""What shows that an answer is right, for the account that asked for it and nobody else."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from node.gateway.accounts import READ, Caller
from node.gateway.deps import AppDeps, Deps, KnownCaller
from node.gateway.errors import NotFoundError
from node.gateway.evidence import Evidence

router = APIRouter()


@router.get("/v1/receipts/{id}")
async def receipts(id: str, deps: AppDeps, caller: KnownCaller) -> JSONResponse:
    """Order, receipts, cost, session, and the answer file that ``nexus verify`` takes."""
    found: dict[str, Any] = await _evidence(deps, caller).receipts(caller, id)
    return JSONResponse(found)


@router.get("/v1/signature/{id}")
async def signature(id: str, deps: AppDeps, caller: KnownCaller) -> JSONResponse:
    """The gateway's signature over the hashes of the request and of the response."""
    found: dict[str, str] = await _evidence(deps, caller).signature(caller, id)
    return JSONResponse(found)


def _evidence(deps: Deps, caller: Caller) -> Evidence:
    caller.require(READ)
    if deps.evidence is None:
        raise NotFoundError("this gateway keeps no evidence", advice="Ask its operator.")
    return deps.evidence
