"""Versions, their certificates, and the evidence beside these."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from node.gateway.accounts import READ
from node.gateway.auditing.published_certificates import PublishedCertificates
from node.gateway.deps import AppDeps, Deps, KnownCaller, caller_of
from node.gateway.errors import NotFoundError

router = APIRouter()


@router.get("/page/versions")
async def versions(deps: AppDeps) -> dict[str, Any]:
    """Every registered version with parent and certificate, and where the chain says so. Anybody may ask."""
    found = _published(deps)
    listed = await found.versions()
    return {**found.registries, "audits": deps.audits is not None, "versions": [one.to_dict() for one in listed]}


@router.get("/page/certificates/{cid}")
async def certificate(cid: str, request: Request, deps: AppDeps) -> Response:
    """A document's own bytes. Anybody may have one that is anchored; others need a known caller, as they may have to
    be fetched from elsewhere.
    """
    found = _published(deps)
    if not await found.is_anchored(cid):
        (await caller_of(request)).require(READ)
    # Text, whatever it says: these bytes are a stranger's, and no browser takes them for a page.
    kind = {"x-content-type-options": "nosniff", "content-disposition": f'attachment; filename="{cid[:80]}.json"'}
    return Response(await found.document(cid), media_type="application/json", headers=kind)


@router.get("/page/certificates/{cid}/examples/{index}")
async def example(cid: str, index: int, deps: AppDeps, caller: KnownCaller) -> Response:
    """An example of a distillation's dataset with its inclusion proof, as ``RecordProof.to_bytes`` writes it."""
    caller.require(READ)
    proof = await _published(deps).example(cid, index)
    return Response(proof.to_bytes(), media_type="application/json", headers={"x-content-type-options": "nosniff"})


@router.get("/page/certificates/{cid}/archive")
async def archive(cid: str, deps: AppDeps, caller: KnownCaller) -> FileResponse:
    """The certificate and every file that it names, in a CAR archive."""
    caller.require(READ)
    folder = await asyncio.to_thread(TemporaryDirectory, prefix="nexus-gateway-archive-")
    try:
        path = Path(folder.name) / "certificate.car"
        await _published(deps).archive(cid, path)
    except BaseException:
        await asyncio.to_thread(folder.cleanup)
        raise
    return FileResponse(
        path,
        media_type="application/vnd.ipld.car",
        filename=f"{cid}.car",
        background=BackgroundTask(asyncio.to_thread, folder.cleanup),
    )


def _published(deps: Deps) -> PublishedCertificates:
    if deps.certificates is None:
        raise NotFoundError("this gateway shows no certificates", advice="Run `nexus models` on your own machine.")
    return deps.certificates
