"""Models and backends shared by the engine tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from nexus_chain.engine.engine import Engine
from nexus_chain.program import PRESETS, IntegerModel, random_model


@cache
def preset_model(preset: str) -> IntegerModel:
    return random_model(PRESETS[preset], seed=11)


@pytest.fixture(params=["native", "torch"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def model() -> Callable[[str], IntegerModel]:
    """Random models by preset name, built once."""
    return preset_model


@pytest.fixture
def engines(backend: Any) -> Callable[..., list[Engine]]:
    """Engines of a model split at the given layers, all on the backend under test."""

    def build(model: IntegerModel, *cuts: int) -> list[Engine]:
        edges = [0, *cuts, model.program.shape.layers]
        pairs = pairwise(edges)
        return [Engine(model.program, model.weights, start, end, threads=2, backend=backend) for start, end in pairs]

    return build
