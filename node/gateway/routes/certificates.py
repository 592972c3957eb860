"""Versions, their certificates, and the evidence beside these."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response

from node.gateway.accounts import READ
from node.gateway.auditing.published_certificates import PublishedCertificates
from node.gateway.deps import AppDeps, Deps, KnownCaller, caller_of
from node.gateway.errors import NotFoundError
from node.gateway.sent_file import SentBytes, SentFile
from node.gateway.shared_places import remote_address

router = APIRouter()


@router.get("/page/versions")
async def versions(deps: AppDeps) -> Response:
    """Every registered version with parent and certificate, and where the chain says so. Anybody may ask."""
    found = await _published(deps).listing(runs_audits=deps.audits is not None)
    return Response(found, media_type="application/json")


@router.get("/page/certificates/{cid}")
async def certificate(cid: str, request: Request, deps: AppDeps) -> Response:
    """A document's own bytes. Anybody may have one that is anchored; others need a known caller, as they may have to
    be fetched from elsewhere.
    """
    found = _published(deps)
    holder = remote_address(request.scope)
    if not await found.is_anchored(cid):
        caller = await caller_of(request)
        caller.require(READ)
        holder = caller.account
    # Text, whatever it says: these bytes are a stranger's, and no browser takes them for a page.
    kind = {"x-content-type-options": "nosniff", "content-disposition": f'attachment; filename="{cid[:80]}.json"'}
    return SentBytes(await found.document(cid, holder), deps.transfers, kind, "application/json")


@router.get("/page/certificates/{cid}/examples/{index}")
async def example(cid: str, index: int, deps: AppDeps, caller: KnownCaller) -> Response:
    """An example of a distillation's dataset with its inclusion proof, as ``RecordProof.to_bytes`` writes it."""
    caller.require(READ)
    proof = await _published(deps).example(cid, index, caller.account)
    return Response(proof.to_bytes(), media_type="application/json", headers={"x-content-type-options": "nosniff"})


@router.get("/page/certificates/{cid}/archive")
async def archive(cid: str, deps: AppDeps, caller: KnownCaller) -> SentFile:
    """The certificate and every file that it names, in a CAR archive."""
    caller.require(READ)
    found = _published(deps)
    kept = await found.archive(cid, caller.account)
    kind, name = "application/vnd.ipld.car", f"{cid}.car"
    return SentFile(kept.path, deps.transfers, {}, kind, filename=name, released=partial(found.let_go, kept))


def _published(deps: Deps) -> PublishedCertificates:
    if deps.certificates is None:
        raise NotFoundError("this gateway shows no certificates", advice="Run `nexus models` on your own machine.")
    return deps.certificates
