"""``GET /v1/models``: from memory, for anybody."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from node.gateway.deps import AppDeps
from node.gateway.generation import OfferedModel

router = APIRouter()


@router.get("/v1/models")
async def models(deps: AppDeps) -> JSONResponse:
    """All models."""
    return JSONResponse({"object": "list", "data": [_model(model) for model in deps.service.models]})


@router.get("/v1/models/{name:path}")
async def model(name: str, deps: AppDeps) -> JSONResponse:
    """One model."""
    return JSONResponse(_model(deps.service.model(name)))


def _model(model: OfferedModel) -> dict[str, Any]:
    """What OpenAI's clients read, and what only this network has to say."""
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "neural-nexus",
        "max_model_len": model.context,
        "model_version": "0x" + model.version.hex(),
        "weights_root": "0x" + model.weights_root.hex(),
        "wei_per_token": None if model.wei_per_token is None else str(model.wei_per_token),
        "share_basis_points": model.share,
        "licence": model.licence or None,
    }
