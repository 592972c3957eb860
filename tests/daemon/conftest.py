"""Fixtures of the node tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.chain.wallet import Wallet
from tests.support.workplace import SPLIT, Answer, LocalNode, linked_nodes, make_order


@pytest.fixture
def user() -> Wallet:
    """The session key."""
    return Wallet.ephemeral()


@pytest.fixture
def nodes(tmp_path: Path, user: Wallet) -> Iterator[list[LocalNode]]:
    """Two nodes that serve the tiny model, each knowing the other's receipt key."""
    with linked_nodes(tmp_path, user, SPLIT) as made:
        yield made


@pytest.fixture
def answer(nodes: list[LocalNode], user: Wallet) -> Answer:
    """An order that nobody has opened yet."""
    return Answer(nodes, user, make_order(user), [3, 141, 59, 26, 535])
