"""A scripted service, its models made once."""

from __future__ import annotations

import pytest

from node.gateway.generation import OfferedModel
from tests.support.scripted_service import ScriptedService, scripted_models


@pytest.fixture(scope="session")
def offered(tmp_path_factory: pytest.TempPathFactory) -> list[OfferedModel]:
    return scripted_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def service(offered: list[OfferedModel]) -> ScriptedService:
    return ScriptedService(offered)
