"""``GET /page/network``: the chain and its contracts, for the page and whoever else asks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from node.gateway.deps import AppDeps
from node.gateway.errors import NotFoundError
from node.gateway.page_chain import CURRENCY

router = APIRouter()


@router.get("/page/network")
async def network(deps: AppDeps) -> dict[str, Any]:
    """Public facts, from memory. ``deposits``: null where the gateway takes none; ``sign_in``: whether it offers it;
    ``verifiers``: origins of gateways that recompute this one's answers for its page."""
    if deps.chain is None:
        raise NotFoundError("this gateway says nothing of a chain", advice="Ask its operator for an API key.")
    more = {"currency": CURRENCY, "sign_in": deps.sign_in is not None, "verifiers": list(deps.verifiers)}
    return {**asdict(deps.chain), **more}
