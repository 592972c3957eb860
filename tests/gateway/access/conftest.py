"""A gateway's routes for accounts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.gateway.ledger.database import Database
from tests.support.access_app import AccessApp, access_app


@pytest.fixture
def app(database: Database) -> Iterator[AccessApp]:
    with access_app(database) as made:
        yield made
