"""A memory for each test, in every kind of database that there is here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.distillation.memory.persistence import CognitivePersistence
from tests.support.gateway_databases import KINDS, fresh_url
from tests.support.memory_examples import WordHashEmbedder


@pytest.fixture(params=KINDS)
def memory_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def memory(memory_url: str) -> Iterator[CognitivePersistence]:
    with CognitivePersistence(memory_url, WordHashEmbedder()) as opened:
        yield opened
