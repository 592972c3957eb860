"""An explorer over a real chain, looked with by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain.clock import ChainClock
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.content.block_store import BlockStore
from nexus_chain.routing.registry_view import Measurement
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.context import Pace, ViewContext
from node.gateway.explorer.explorer import Explorer, Readers
from node.gateway.explorer.follower import ChainFollower
from node.gateway.explorer.games import GameReader
from node.gateway.explorer.records import RecordReader
from node.gateway.explorer.terms import read_terms
from tests.support.chain_world import World, build_world


@dataclass
class Watched:
    """An explorer with all that it was made of. ``measured``: what the gateway is said to have seen of nodes."""

    explorer: Explorer
    archive: ChainArchive
    context: ViewContext
    follower: ChainFollower
    blocks: BlockStore
    measured: dict[str, Measurement] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict)


def watch(contracts: Contracts, folder: Path) -> Watched:
    """An explorer whose file is in ``folder``."""
    archive = ChainArchive(folder / "explorer.sqlite", contracts.market.address)
    clock, blocks = ChainClock(contracts.connection), BlockStore(folder / "blocks")
    clock.head()
    measured: dict[str, Measurement] = {}
    paces: dict[str, Pace] = {}
    context = ViewContext(
        archive, read_terms(contracts), lambda: (), lambda: measured, lambda: paces,
        lambda: contracts.connection.block().timestamp,
    )  # fmt: skip
    follower = ChainFollower(contracts, archive)
    readers = Readers(follower, GameReader(contracts, archive), RecordReader(contracts, archive, lambda: blocks), clock)
    return Watched(Explorer(archive, readers, context), archive, context, follower, blocks, measured, paces)


@pytest.fixture(scope="session")
def local_chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


@pytest.fixture
def world(local_chain: LocalChain, tmp_path: Path) -> World:
    return build_world(local_chain, tmp_path)


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Callable[[Contracts], Watched]]:
    """Makes explorers, which are closed in the end."""
    made: list[Any] = []

    def make(contracts: Contracts) -> Watched:
        made.append(watch(contracts, tmp_path / str(len(made))))
        return made[-1]

    yield make
    for one in made:
        one.explorer.close()


@pytest.fixture
def watched(world: World, watching: Callable[[Contracts], Watched]) -> Watched:
    return watching(world.user)
