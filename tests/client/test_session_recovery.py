"""A lost or damaged database: sessions come back from the chain, and no wei is lost."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.client import Client
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.home import ClientHome
from nexus_chain.client.session_key import new_key
from nexus_chain.client.session_money import SessionMoney
from nexus_chain.client.session_recovery import set_damaged_aside
from nexus_chain.client.store import ClientStore
from nexus_chain.market.documents import Line
from nexus_chain.wire.tls_peer import dial
from node.cli.app import run
from tests.support.chain_world import CAP, STAKE, STATED, World
from tests.support.invocation import Nexus, Printed

PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    Wallet.create(made / "wallet.json", PASSWORD, work=2**10)
    (tmp_path / "password").write_text(PASSWORD)
    return made


@pytest.fixture
def world(chain: LocalChain, home: Path, tmp_path: Path) -> World:
    owner, *operators = (Wallet.ephemeral() for _ in range(3))
    user = Wallet.load(home / "wallet.json", PASSWORD)
    for wallet in (owner, user, *operators):
        chain.set_balance(wallet.address, 10**19)
    path = home / "deployments" / "31337.json"
    deployment, _ = deploy(ArtefactCreator(chain.connection, owner), owner.address, preset="local", path=path)
    contracts = [Contracts.at(chain.connection, deployment, wallet) for wallet in (owner, user, *operators)]
    version, _ = contracts[0].models.publish(STATED)
    for number, operator in enumerate(contracts[2:]):
        operator.nodes.register("127.0.0.1:1", bytes([number + 1]) * 32, operators[number].address, stake=STAKE)
        operator.nodes.announce(version, 2 * number, 2 * number + 2, 5)
    return World(chain, contracts[0], contracts[1], contracts[2:], Wallet.ephemeral(), version)


@pytest.fixture
def nexus(world: World, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Nexus:
    def call(*words: Any) -> Printed:
        capsys.readouterr()
        settings = ("--home", home, "--rpc", world.chain.rpc_url, "--password-file", tmp_path / "password")
        code = run([str(word) for word in (*settings, *words)])
        printed = capsys.readouterr()
        return Printed(code, printed.out, printed.err)

    return call


def ids(sessions: list[dict[str, Any]]) -> dict[str, str]:
    return {one["session"]: one["state"] for one in sessions}


def test_sessions_come_back_and_can_only_end(nexus: Nexus, world: World, home: Path) -> None:
    first, second = world.nodes
    session = world.open()
    world.user.market.allot(session, first, 2 * CAP)
    world.owner.market.post(*world.voucher(session, 100))
    other = Contracts.at(world.chain.connection, world.owner.deployment, world.owner.sender.wallet)  # type: ignore[union-attr]
    foreign, _ = other.market.open(world.key.address, other.market.now() + 600, world.caps(), secrets.token_bytes(32))

    found = nexus("session", "recover", "--json").json
    assert found["damaged_database"] is None
    (one,) = found["sessions"]
    assert (one["session"], one["state"]) == ("0x" + session.hex(), "recovered")
    assert (one["locked_wei"], one["key_here"]) == (str(3 * CAP), False)
    assert nexus("session", "recover", "--json").json["sessions"] == []
    assert ids(nexus("session", "list", "--json").json["sessions"]) == {"0x" + session.hex(): "recovered"}
    assert foreign != session

    with Client(world.user, ClientHome(home), dial) as client:
        record = client.store.session(session)
        lines = client.store.lines(session)
        assert (lines[first].cap, lines[first].promised, lines[second].promised) == (2 * CAP, 100, 0)
        money = SessionMoney(client.user, record, new_key())
        with pytest.raises(SessionStateError, match="not known here"):
            money.allot(first, 3 * CAP)

    # A node that holds a voucher is paid; the rest comes back, without the session's key.
    assert nexus("session", "close", "--json").code == 0
    world.owner.market.post(*world.voucher(session, 1000, 500))
    world.chain.advance(61)
    settled = nexus("session", "settle", "--json").json
    assert (settled["to_nodes_wei"], settled["to_vault_wei"]) == ("1350", "150")
    assert settled["to_user_wei"] == str(3 * CAP - 1500)
    assert world.user.market.balance_of(world.address(world.user)) == 3 * CAP - 1500


def test_a_damaged_database_is_renamed_and_its_sessions_are_found(nexus: Nexus, world: World, home: Path) -> None:
    session = world.open()
    database = home / "client.sqlite"
    nexus("session", "recover")
    whole = bytearray(database.read_bytes())
    whole[100:3000] = b"\xff" * 2900
    database.write_bytes(whole)
    refused = nexus("session", "list", "--json")
    assert (refused.code, refused.json["error"]["type"]) == (1, "ClientStoreError")
    assert "nexus session recover" in refused.json["error"]["advice"]
    found = nexus("session", "recover", "--json").json
    assert found["damaged_database"] == str(home / "client.sqlite.damaged-1")
    assert (home / "client.sqlite.damaged-1").read_bytes() == whole
    assert ids(found["sessions"]) == {"0x" + session.hex(): "recovered"}


def test_without_a_chain_nothing_is_moved(nexus: Nexus, home: Path) -> None:
    (home / "client.sqlite").write_bytes(b"no database at all")
    failed = nexus("--rpc", "http://127.0.0.1:1", "session", "recover", "--json")
    assert failed.code == 1
    assert (home / "client.sqlite").read_bytes() == b"no database at all"


def test_sessions_that_are_known_stay_as_they_are(nexus: Nexus, world: World, home: Path) -> None:
    with Client(world.user, ClientHome(home), dial) as client:
        from nexus_chain.client.opening import prepare_session

        caps = [Line(node, CAP) for node in world.nodes]
        new = prepare_session(client.user, world.address(world.user), world.version, 600, caps, direct=False)
        world.user.market.open(new.record.signer, new.record.expiry, caps, new.nonce)
    found = nexus("session", "recover", "--json").json
    assert found["sessions"] == []
    assert ids(nexus("session", "list", "--json").json["sessions"]) == {"0x" + new.record.id.hex(): "open"}


def test_a_whole_database_is_not_moved(tmp_path: Path) -> None:
    path = tmp_path / "client.sqlite"
    assert set_damaged_aside(path) is None
    ClientStore(path).close()
    assert set_damaged_aside(path) is None
    path.write_bytes(path.read_bytes()[:5000])
    assert set_damaged_aside(path) == tmp_path / "client.sqlite.damaged-1"
    path.write_bytes(b"text")
    assert set_damaged_aside(path) == tmp_path / "client.sqlite.damaged-2"


def test_a_line_that_this_machine_never_heard_of_is_settled_too(nexus: Nexus, world: World, home: Path) -> None:
    """Regression: of a node whose allotting lost its answer, or came after a backup, the cap was never fetched."""
    first, second = world.nodes
    market, nonce = world.user.market, secrets.token_bytes(32)
    session, _ = market.open(world.key.address, market.now() + 600, [Line(first, CAP)], nonce)
    assert nexus("session", "recover").code == 0
    market.allot(session, second, CAP)
    with Client(world.user, ClientHome(home), dial) as client:
        assert list(client.store.lines(session)) == [first]
    assert nexus("session", "close").code == 0
    world.chain.advance(61)
    market.settle(session, first)
    assert ids(nexus("session", "list", "--json").json["sessions"]) == {"0x" + session.hex(): "closed"}
    assert nexus("session", "settle").code == 0
    assert market.balance_of(world.address(world.user)) == 2 * CAP
    assert ids(nexus("session", "list", "--json").json["sessions"]) == {"0x" + session.hex(): "settled"}
