"""``nexus model share``: set by the publisher, shown where prices are, paid, recovered, withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.chain.local import DEVELOPMENT_KEYS
from nexus_chain.chain.wallet import Wallet
from nexus_chain.errors import NexusError
from nexus_chain.market.publisher_share import locked_with_share
from tests.support.invocation import Nexus, Printed
from tests.support.live_network import LiveNetwork, live_network

PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live"), copies=1) as made:
        yield made


@pytest.fixture(scope="module")
def publisher_home(live: LiveNetwork) -> Path:
    folder = live.folder / "publisher-home"
    Wallet.from_hex(DEVELOPMENT_KEYS[0]).save(folder / "wallet.json", PASSWORD, work=2**10)
    return folder


@pytest.fixture(scope="module")
def user_home(live: LiveNetwork) -> Path:
    folder = live.folder / "user-home"
    wallet = Wallet.create(folder / "wallet.json", PASSWORD, work=2**10)
    live.net.chain.set_balance(wallet.address, 10**19)
    return folder


def at(nexus: Nexus, live: LiveNetwork, home: Path) -> Nexus:
    """``nexus`` with the settings of that home."""
    (home / "password").write_text(PASSWORD)
    settings = (
        "--home", home, "--password-file", home / "password", "--rpc", live.net.chain.rpc_url,
        "--deployment", live.net.deployment_path, "--model-dir", live.folder / "model",
    )  # fmt: skip

    def call(*arguments: object) -> Printed:
        return nexus(*settings, *arguments)

    return call


@pytest.fixture
def publisher(nexus: Nexus, live: LiveNetwork, publisher_home: Path) -> Nexus:
    return at(nexus, live, publisher_home)


@pytest.fixture
def user(nexus: Nexus, live: LiveNetwork, user_home: Path) -> Nexus:
    return at(nexus, live, user_home)


def test_from_the_publishers_command_to_its_withdrawal(
    publisher: Nexus, user: Nexus, live: LiveNetwork, user_home: Path
) -> None:
    version = "0x" + live.version.hex()
    shown = publisher("model", "share", version[:10], "--json").json
    assert (shown["model_version"], shown["share_basis_points"], shown["since"]) == (version, 0, 0)
    assert "for its publisher" not in user("models").out

    done = publisher("model", "share", version[:10], "--percent", "2.5", "--json").json
    assert (done["share_basis_points"], done["gas"] > 0) == (250, True)
    assert publisher("model", "share", version[:10]).out == "2.5 %\n"
    again = publisher("model", "share", version[:10], "--percent", "2.5", "--json").json
    assert "transaction" not in again  # it is so already
    assert user("models", "--json").json["models"][0]["share_basis_points"] == 250
    assert "+ 2.5 % for its publisher" in " ".join(user("models").out.split())

    opened = user("session", "open", "--tokens", 100, "--json").json
    locked = locked_with_share(map(int, opened["caps"].values()), 250)
    assert (opened["locked_wei"], opened["share_basis_points"]) == (str(locked), 250)
    answer = user("ask", "def fib(n):", "--max-tokens", 8, "--audits", 0)
    assert answer.code == 0, answer.err
    assert "for the publisher" in answer.err

    # Another machine of the same wallet finds it, with its version and its share.
    (user_home / "client.sqlite").rename(user_home / "client.sqlite.elsewhere")
    found = user("session", "recover", "--json").json["sessions"]
    assert [(one["session"], one["locked_wei"]) for one in found] == [(opened["session"], str(locked))]
    assert user("session", "list", "--json").json["sessions"][0]["share_basis_points"] == 250
    assert user("session", "close", "--json").code == 0
    live.net.chain.advance(61)
    paid = {name: int(wei) for name, wei in user("session", "settle", "--json").json.items() if name.endswith("_wei")}
    earned = [live.net.user.market.line_of(bytes.fromhex(opened["session"][2:]), node) for node in opened["caps"]]
    assert paid["to_publisher_wei"] == sum(line.cumulative * 250 // 10_000 for line in earned)
    parts = paid["to_nodes_wei"] + paid["to_vault_wei"] + paid["to_publisher_wei"] + paid["to_user_wei"]
    assert parts == locked
    assert user("withdraw", "--json").json["withdrawn_wei"] == str(paid["to_user_wei"])
    if paid["to_publisher_wei"]:
        assert publisher("withdraw", "--json").json["withdrawn_wei"] == str(paid["to_publisher_wei"])
    assert publisher("model", "share", version, "--percent", 0, "--json").json["share_basis_points"] == 0


def test_the_call_of_another_account_locks_the_share(publisher: Nexus, user: Nexus, live: LiveNetwork) -> None:
    publisher("model", "share", live.version.hex(), "--percent", 10)
    made = user("session", "prepare", "0x" + "11" * 20, "--tokens", 100, "--json").json
    assert made["calls"]["open"]["data"].startswith("0x" + _selector("openFor"))
    assert int(made["calls"]["open"]["value_wei"]) % 11 == 0
    publisher("model", "share", live.version.hex(), "--percent", 0)
    made = user("session", "prepare", "0x" + "11" * 20, "--tokens", 100, "--json").json
    # For the version all the same: a share that is set before the account sends it stops it, and locks nothing.
    call = made["calls"]["open"]
    assert call["data"].startswith("0x" + _selector("openFor") + live.version.hex() + "00" * 32)
    sent = {"from": "0x" + "11" * 20, "to": call["to"], "value": hex(int(call["value_wei"])), "data": call["data"]}
    live.net.chain.set_balance(sent["from"], 10**19)
    live.net.chain.connection.call(sent, "latest")
    publisher("model", "share", live.version.hex(), "--percent", 1)
    with pytest.raises(NexusError, match="OtherShare"):
        live.net.chain.connection.call(sent, "latest")
    publisher("model", "share", live.version.hex(), "--percent", 0)


def test_what_cannot_be_asked_is_said(publisher: Nexus, user: Nexus, live: LiveNetwork) -> None:
    version = live.version.hex()
    refused = publisher("model", "share", version, "--percent", 20.01, "--json")
    assert refused.json["error"]["message"] == "a publisher's share is at most 20 % of what nodes earn, not 20.01 %"
    assert publisher("model", "share", version, "--percent", 0.005).code == 2
    for never in (-1, 20.001, "nan", "inf", "-inf", "1e308", "5,5", ""):
        asked = publisher("model", "share", version, "--percent", never)
        assert (asked.code, asked.out, "Traceback" in asked.err) == (2, "", False), never
    refused = user("model", "share", version, "--percent", 5, "--json")
    assert refused.json["error"]["type"] == "WalletError"
    assert "published version" in refused.json["error"]["message"]
    assert user("model", "share", "ff" * 32, "--json").json["error"]["type"] == "ModelFilesError"
    assert publisher("model", "share", version, "--json").json["share_basis_points"] == 0  # nothing was sent


def _selector(name: str) -> str:
    from nexus_chain.chain.abi_values import signature_hash
    from nexus_chain.chain.interfaces import abi

    entry = next(one for one in abi("InferenceMarket") if one["type"] == "function" and one["name"] == name)
    return signature_hash(entry)[:4].hex()
