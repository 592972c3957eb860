"""Audits of certificates, run on the gateway's machine for callers who are known."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from node.gateway.auditing.audit_desk import AuditDesk
from node.gateway.auditing.audit_run import AuditRun
from node.gateway.deps import AppDeps, Deps, KnownCaller
from node.gateway.errors import NotFoundError
from node.gateway.event_stream import event, event_response, lasting_events
from node.gateway.shared_places import remote_address

router = APIRouter()


class AuditBody(BaseModel):
    """``sample``: examples, verdicts and problems that are looked at one by one."""

    cid: str = Field(max_length=128)
    sample: int = Field(20, ge=1, le=1_000)


@router.get("/page/audits")
async def audits(deps: AppDeps, caller: KnownCaller) -> list[dict[str, Any]]:
    """The caller's audits, the latest first."""
    return [_shown(run) for run in _desk(deps).of(caller)]


@router.post("/page/audits", status_code=201)
async def begin_audit(body: AuditBody, request: Request, deps: AppDeps, caller: KnownCaller) -> dict[str, Any]:
    """Start an audit, or have it wait for its turn; its events say how it goes on."""
    return _shown(await _desk(deps).begin(caller, body.cid, body.sample, remote_address(request.scope)))


@router.get("/page/audits/{id}")
async def audit_report(id: str, deps: AppDeps, caller: KnownCaller) -> dict[str, Any]:
    """How an audit stands, and its report once there is one."""
    run = _desk(deps).find(caller, id)
    return {**_shown(run), "report": run.report}


@router.get("/page/audits/{id}/events")
async def audit_events(id: str, deps: AppDeps, caller: KnownCaller) -> StreamingResponse:
    """``place`` in the queue, ``titles``, each ``step``, ``report``, ``end``: from the beginning, each time."""
    run = _desk(deps).find(caller, id)
    return event_response(lasting_events(_events(run), deps.leaving))


@router.delete("/page/audits/{id}", status_code=204)
async def cancel_audit(id: str, deps: AppDeps, caller: KnownCaller) -> Response:
    """End an audit, in the middle of a step where it has to be."""
    await _desk(deps).cancel(caller, id)
    return Response(status_code=204)


async def _events(run: AuditRun) -> AsyncGenerator[bytes, None]:
    async for said in run.follow():
        yield event(said.data, said.name)


def _shown(run: AuditRun) -> dict[str, Any]:
    return {"id": run.id, "cid": run.cid, "started": run.started, "state": run.state}


def _desk(deps: Deps) -> AuditDesk:
    if deps.audits is None:
        raise NotFoundError("this gateway runs no audits", advice="Run `nexus audit CID` on your own machine.")
    return deps.audits
