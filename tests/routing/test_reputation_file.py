"""What the watcher found out decides whom the client's next order goes to."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_chain.chain.exposure import OpenLines
from nexus_chain.client import network, nodes_source
from nexus_chain.client.home import ClientHome
from nexus_chain.client.network import route_over
from nexus_chain.client.nodes_source import FreshNodes
from nexus_chain.client.store import ClientStore
from nexus_chain.client.user import User
from nexus_chain.market.documents import Domain, checksum
from nexus_chain.program import PRESETS, decoder_program
from nexus_chain.routing.errors import NoNodeForLayersError, ReputationFileError
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.routing.reputation import ReputationBook
from nexus_chain.routing.reputation_file import load_reputation, save_reputation
from nexus_chain.wire.errors import NodeUnreachableError

GOOD, LIAR, FLAKY = (checksum("0x" + f"{number:02x}" * 20) for number in (0xA1, 0xB2, 0xC3))
PROGRAM = decoder_program("two layers", PRESETS["tiny-bias"])
BOOK = ReputationBook().after(GOOD, verified=7).after(LIAR, verified=9, invalid=1).after(FLAKY, failed=3)


def offer(node: str, latency: float) -> ShardNode:
    return ShardNode(node, "0x" + "00" * 32, (0,), latency, 1.0, True, 0, 2, 5, "host:1", node)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user whom three nodes offer all layers, the liar the fastest."""

    class Peer:
        def describe(self) -> Any:
            return type("Status", (), {"active_orders": 0, "audit_wei_per_token": 0})()

        def close(self) -> None: ...

    offers = [offer(LIAR, 1.0), offer(GOOD, 1.0), offer(FLAKY, 1.0)]
    monkeypatch.setattr(network, "discover_nodes", lambda contracts, version: offers)
    monkeypatch.setattr(nodes_source, "unsettled_lines", lambda contracts, cache: OpenLines(0))
    chain: Any = SimpleNamespace(domain=Domain(31337, GOOD))
    dial: Any = lambda contact: Peer()  # noqa: E731
    home, store = ClientHome(tmp_path).prepare(), ClientStore(tmp_path / "client.sqlite")
    return User(chain, home, store, FreshNodes(chain, home, store, dial))


def served_by(nodes: list[ShardNode]) -> set[str]:
    """Who may serve: the chosen node and its spares."""
    return {contact.address for segment in route_over(nodes, PROGRAM).segments for contact in segment}


def test_a_node_proven_wrong_neither_serves_nor_stands_by(user: User) -> None:
    assert served_by(user.nodes.candidates(bytes(32))) == {GOOD, LIAR, FLAKY}
    save_reputation(user.home.reputation, BOOK)
    assert {node.node_id: node.reputation for node in user.nodes.candidates(bytes(32))} == {
        GOOD: 1.0,
        LIAR: 0.0,
        FLAKY: pytest.approx(4 / 7),
    }
    assert served_by(user.nodes.candidates(bytes(32))) == {GOOD, FLAKY}


def test_what_the_client_saw_itself_counts_with_what_the_watcher_found(user: User) -> None:
    save_reputation(user.home.reputation, BOOK)
    user.store.count_failure(FLAKY)
    user.store.count_failure(FLAKY)
    user.store.count_failure(GOOD, invalid=True)
    assert {node.node_id: node.reputation for node in user.nodes.candidates(bytes(32))} == {
        GOOD: 0.0,
        LIAR: 0.0,
        FLAKY: pytest.approx(4 / 9),
    }


def test_no_route_leads_over_liars_only(user: User) -> None:
    book = BOOK.after(GOOD, convicted=True).after(FLAKY, failed=30)
    save_reputation(user.home.reputation, book)
    with pytest.raises(NoNodeForLayersError):
        route_over(user.nodes.candidates(bytes(32)), PROGRAM)


def test_a_node_that_does_not_answer_keeps_its_record(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    save_reputation(user.home.reputation, BOOK)

    def silent(contact: object) -> Any:
        raise NodeUnreachableError("nobody there", advice="Wait.")

    away = FreshNodes(user.contracts, user.home, user.store, silent)
    assert next((node.online, node.reputation) for node in away.candidates(bytes(32))) == (False, 0.0)


def test_the_file_holds_the_book(tmp_path: Path) -> None:
    path = tmp_path / "new" / "reputation.json"
    assert load_reputation(path) == ReputationBook()
    save_reputation(path, BOOK)
    assert load_reputation(path) == BOOK
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def with_record(**record: object) -> str:
    return json.dumps({"format": "nexus.reputation.v1", "records": {GOOD: record}})


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"format": "other", "records": {}}', '{"format": "nexus.reputation.v1", "records": []}'),
        with_record(),
        with_record(verified=-1, failed=0, invalid=0, convicted=False),
        with_record(verified=1, failed=0, invalid=0, convicted=0),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "reputation.json"
    path.write_text(text)
    with pytest.raises(ReputationFileError, match=r"reputation\.json"):
        load_reputation(path)
