"""docs/gateway.md says of every parameter that code knows whether it is followed, harmless or refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.gateway.anthropic.errors import anthropic_error
from node.gateway.anthropic.types import ANTHROPIC_NEUTRAL, BLOCK_NEUTRAL, AnthropicMessagesRequest
from node.gateway.errors import GatewayError
from node.gateway.ollama.options import MACHINE_OPTIONS, NEUTRAL_OPTIONS
from node.gateway.ollama.types import (
    MESSAGE_NEUTRAL,
    REQUEST_NEUTRAL,
    OllamaChatRequest,
    OllamaEmbedRequest,
    OllamaGenerateRequest,
    OllamaOptions,
)

pytestmark = pytest.mark.fast

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "gateway.md").read_text()


def cells(interface: str) -> dict[str, set[str]]:
    """Names in each row of an interface's table of parameters."""
    section = DOCUMENT.split(f"### {interface}\n")[1].split("\n#")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return {row[0].strip(): set(re.findall(r"`([a-z_0-9]+)`", row[1])) for row in rows if row[0].strip(" -")}


def kinds(kind: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    for below in kind.__subclasses__():
        yield below
        yield from kinds(below)


def test_every_parameter_of_ollama_is_in_its_row() -> None:
    followed, harmless, refused = cells("Ollama").values()
    fields = {
        name
        for model in (OllamaGenerateRequest, OllamaChatRequest, OllamaEmbedRequest, OllamaOptions)
        for name in model.model_fields
    }
    assert fields - {"options", "keep_alive", "shift", "dimensions"} <= followed
    assert harmless >= MACHINE_OPTIONS
    assert {*NEUTRAL_OPTIONS, *REQUEST_NEUTRAL, *MESSAGE_NEUTRAL, "dimensions"} <= refused
    assert followed & refused == {"options"}


def test_every_parameter_of_anthropic_is_in_its_row() -> None:
    followed, harmless, refused = cells("Anthropic").values()
    assert set(AnthropicMessagesRequest.model_fields) == followed | (
        harmless & {"metadata", "service_tier", "cache_control"}
    )
    assert {*ANTHROPIC_NEUTRAL, *BLOCK_NEUTRAL} <= refused


def test_every_error_is_in_the_table() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    told = {(str(one.status), one.code, anthropic_error(one("x", advice="y."))["error"]["type"]) for one in kinds()}
    assert set(rows) == told
