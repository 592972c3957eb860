"""A distillation of the gateway's operator, to look at: nothing here changes anything."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from node.gateway.accounts import READ, Caller
from node.gateway.deps import AppDeps, Deps, KnownCaller
from node.gateway.errors import NotFoundError
from node.gateway.learning_panel import LearningPanel

router = APIRouter()

Outcomes = Literal["", "proved", "refuted", "unknown"]


@router.get("/page/learning")
async def learnings(deps: AppDeps, caller: KnownCaller) -> list[str]:
    """Names of what can be looked at."""
    return await _panel(deps, caller).names()


@router.get("/page/learning/{name}")
async def learning(name: str, deps: AppDeps, caller: KnownCaller) -> dict[str, Any]:
    """Plan, sources, memory, trainings and scores of one."""
    return await _panel(deps, caller).overview(name)


@router.get("/page/learning/{name}/answers")
async def learning_answers(
    name: str,
    deps: AppDeps,
    caller: KnownCaller,
    after: Annotated[int, Query(ge=0)] = 0,
    outcome: Outcomes = "",
) -> list[dict[str, Any]]:
    """Requests behind number ``after``, with every source's answer and what the judge said of it."""
    return await _panel(deps, caller).answers(name, after, outcome)


def _panel(deps: Deps, caller: Caller) -> LearningPanel:
    caller.require(READ)
    if deps.learning is None:
        raise NotFoundError(
            "this gateway shows no distillation", advice="Its operator names one with --distillation FOLDER."
        )
    return deps.learning
