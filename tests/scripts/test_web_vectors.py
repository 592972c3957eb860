"""The golden vectors of the page's engine are what the script makes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.make_web_vectors import FALSE_PAPERS, LYING_NODES, TARGET, read, rendered


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return dict(json.loads(json.dumps(rendered())))


@pytest.mark.parametrize("name", [f"web_{kind}.json.gz" for kind in ("traces", "programs", "answers", "texts")])
def test_regenerating_changes_nothing(name: str, made: dict[str, Any]) -> None:
    assert read(TARGET / name) == made[name]


def test_a_hundred_nodes_lie_and_each_is_accused(made: dict[str, Any]) -> None:
    lies = [one for one in made["web_answers.json.gz"]["answers"] if one["lie"] != "none"]
    assert len(lies) == LYING_NODES + FALSE_PAPERS
    assert [one["word"] for one in lies[:LYING_NODES]] == ["wrong"] * LYING_NODES
    assert all(len(one["accusations"]) == 1 for one in lies[:LYING_NODES])
    assert not any(one["accusations"] for one in lies[LYING_NODES:])
