"""``GET /v1/models/NAME/files``: what recomputing an answer of a model takes. Public, for anybody."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from nexus_chain.chain.model_registry import ModelVersion
from node.gateway.deps import AppDeps
from node.gateway.errors import InvalidRequestError, NotFoundError
from node.gateway.generation import OfferedModel
from node.gateway.sent_file import SentFile

router = APIRouter()

_NOSNIFF = {"x-content-type-options": "nosniff"}


@router.get("/v1/models/{name:path}/files")
async def files(name: str, deps: AppDeps) -> JSONResponse:
    """Names, sizes and hashes, and what the registry says of the version: its id is the hash of that."""
    model = deps.service.model(name)
    if model.record is None:
        raise NotFoundError(f"the registry's entry of {name} is not known here", advice="Ask the gateway's operator.")
    found = await deps.files.of(model)
    return JSONResponse(
        {
            "object": "list",
            "model_version": "0x" + model.version.hex(),
            "publisher": model.publisher,
            "version": _version(model.record),
            "data": [{"name": one.path.name, "size": one.size, "sha256": one.sha256} for one in found],
        }
    )


@router.get("/v1/models/{name:path}/files/{file}")
@router.head("/v1/models/{name:path}/files/{file}", include_in_schema=False)
async def file(name: str, file: str, request: Request, deps: AppDeps, sha256: str | None = None) -> Response:
    """One file or a range of it. With its ``sha256`` in the address it never changes, and may be kept for ever."""
    model: OfferedModel = deps.service.model(name)
    found = await deps.files.find(model, file)
    if sha256 is not None and sha256 != found.sha256:
        raise NotFoundError(f"{file} of {name} is another one now", advice="Ask for the list of files again.")
    if "," in request.headers.get("range", ""):
        raise InvalidRequestError("one range at a time", advice="Ask for each range by itself.", param="range")
    etag = f'"{found.sha256}"'
    kept = "public, max-age=31536000, immutable" if sha256 else "public, no-cache"
    headers = {"etag": etag, "cache-control": kept, **_NOSNIFF}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    kind = "application/json" if found.path.suffix == ".json" else "application/octet-stream"
    return SentFile(found.path, deps.transfers, headers, kind)


def _version(record: ModelVersion) -> dict[str, Any]:
    """The fields whose hash, with the publisher, is the version's id."""
    return {
        "weights_root": "0x" + record.weights_root.hex(),
        "program_root": "0x" + record.program_root.hex(),
        "tokenizer_hash": "0x" + record.tokenizer_hash.hex(),
        "parent": "0x" + record.parent.hex(),
        "price_per_token": str(record.price_per_token),
        "layers": record.layers,
        "semver": [record.semver.major, record.semver.minor, record.semver.patch],
        "manifest_cid": record.manifest_cid,
    }
