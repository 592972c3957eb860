"""A real chain for these tests: one Anvil for the whole run, fresh contracts for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.chain.local import LocalChain, anvil
from tests.support.chain_world import World, build_world


@pytest.fixture(scope="session")
def local_chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


@pytest.fixture
def world(local_chain: LocalChain, tmp_path: Path) -> World:
    return build_world(local_chain, tmp_path)
