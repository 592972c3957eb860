"""Whether the process lives, whether it can answer, and its counters."""

from __future__ import annotations

from fastapi import APIRouter, Response

from node.gateway.deps import AppDeps
from node.gateway.errors import UnavailableError

router = APIRouter()


@router.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/ready")
async def ready(deps: AppDeps) -> dict[str, object]:
    """Every model has a route of nodes, or had one when somebody asked last."""
    waiting = [model.name for model in deps.service.models if model.wei_per_token is None]
    if waiting:
        raise UnavailableError(
            f"no route of nodes is known for {', '.join(waiting)}", advice="Wait for nodes.", retry_after=5.0
        )
    return {"status": "ready", "models": [model.name for model in deps.service.models]}


@router.get("/metrics")
async def metrics(deps: AppDeps) -> Response:
    """Prometheus's exposition format."""
    return Response(deps.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
