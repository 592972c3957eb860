"""A database for each test, of every kind that there is here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.gateway.ledger.database import Database
from tests.support.gateway_databases import KINDS, fresh_database, fresh_url


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with fresh_database(request.param, tmp_path) as made:
        yield made
