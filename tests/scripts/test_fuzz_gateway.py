"""What is read from schemathesis' notes: every answer, and requests that were never answered."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.runs.fuzz_gateway import answers_in

pytestmark = pytest.mark.fast


def noted(*statuses: int | None) -> dict[str, Any]:
    """A scenario's notes; None: no answer."""
    interactions = {
        str(number): {"request": {"uri": f"/{number}"}, "response": status and {"status_code": status}}
        for number, status in enumerate(statuses)
    }
    return {"ScenarioFinished": {"recorder": {"label": "GET /", "interactions": interactions}}}


def test_an_answer_that_never_came_is_a_hang() -> None:
    events = [{"EngineStarted": {}}, noted(200, None), {"ScenarioStarted": {"recorder": None}}, noted(500)]
    found = [(status, request["uri"]) for status, request in answers_in(events)]
    assert found == [(200, "/0"), (0, "/1"), (500, "/0")]
