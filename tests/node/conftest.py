"""Fixtures of the node tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from workplace import SPLIT, Answer, LocalNode, make_order

from nexus_chain.chain.wallet import Wallet


@pytest.fixture
def user() -> Wallet:
    """The session key."""
    return Wallet.ephemeral()


@pytest.fixture
def nodes(tmp_path: Path, user: Wallet) -> Iterator[list[LocalNode]]:
    """Two nodes that serve the tiny model, each knowing the other's receipt key."""
    made = [LocalNode(tmp_path / f"node{start}", user, start, end) for start, end in SPLIT]
    keys: dict[str, str] = {node.wallet.address: node.core.serving.identity.receipt_key.address for node in made}
    for node in made:
        node.facts.keys = keys
    yield made
    for node in made:
        node.core.close()


@pytest.fixture
def answer(nodes: list[LocalNode], user: Wallet) -> Answer:
    """An order that nobody has opened yet."""
    return Answer(nodes, user, make_order(user), [3, 141, 59, 26, 535])
