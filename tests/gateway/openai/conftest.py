"""OpenAI's own client against the whole application over a scripted service, over TCP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from node.gateway.settings import GatewaySettings
from tests.support.gateway_server import KEY, served_gateway
from tests.support.scripted_service import ScriptedService, scripted_models


@pytest.fixture
def service(tmp_path: Path) -> ScriptedService:
    return ScriptedService(scripted_models(tmp_path))


@pytest.fixture
def url(service: ScriptedService) -> Iterator[str]:
    with served_gateway(service, GatewaySettings(body_limit=4_096)) as found:
        yield found


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as found:
        yield found
