"""The ``nexus`` command as a newcomer uses it: a real chain and real node processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.chain.wallet import Wallet
from tests.support.invocation import Nexus, Printed
from tests.support.live_network import STAKE, LiveNetwork, live_network
from tests.support.network import PRICE

PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live")) as made:
        yield made


@pytest.fixture
def home(live: LiveNetwork) -> Path:
    """A funded wallet in a home of its own."""
    folder = live.folder / "cli-home"
    if not (folder / "wallet.json").exists():
        folder.mkdir()
        (folder / "password").write_text(PASSWORD)
        wallet = Wallet.create(folder / "wallet.json", PASSWORD, work=2**10)
        live.net.chain.set_balance(wallet.address, 10**19)
    return folder


@pytest.fixture
def user(nexus: Nexus, live: LiveNetwork, home: Path) -> Nexus:
    """``nexus`` with the settings of that user."""
    settings = (
        "--home", home, "--password-file", home / "password", "--rpc", live.net.chain.rpc_url,
        "--deployment", live.net.deployment_path, "--model-dir", live.folder / "model",
    )  # fmt: skip

    def call(*arguments: object) -> Printed:
        return nexus(*settings, *arguments)

    return call


def test_newcomers_path(user: Nexus, live: LiveNetwork) -> None:
    shown = user("wallet", "show", "--json").json
    assert shown["balance_wei"] == str(10**19)

    models = user("models", "--json").json["models"]
    assert [model["id"] for model in models] == ["0x" + live.version.hex()]
    assert models[0]["route_wei_per_token"] == str(2 * PRICE)
    assert [(ask["layers"], ask["lowest_wei"], ask["highest_wei"]) for ask in models[0]["asks"]] == [
        ("0-1", str(PRICE), str(PRICE)),
        ("1-3", str(PRICE), str(PRICE)),
    ]
    nodes = user("nodes", "--json").json["nodes"]
    assert sorted(node["layers"] for node in nodes) == ["0-1", "0-1", "1-3", "1-3"]
    assert all(node["online"] for node in nodes)
    assert live.nodes[0][0].address in user("nodes").out

    assert {(node["stake_wei"], node["open_lines_wei"]) for node in nodes} == {(STAKE, "0")}
    assert "open lines" in user("nodes", "--offline").out

    opened = user("session", "open", "--tokens", 300, "--json")
    assert opened.code == 0, opened.err
    session = opened.json["session"]
    hanging = {node["node"]: node["open_lines_wei"] for node in user("nodes", "--offline", "--json").json["nodes"]}
    assert {node: wei for node, wei in hanging.items() if wei != "0"} == opened.json["caps"]

    text = user("ask", "def fib(n):", "--max-tokens", 12)
    assert text.code == 0, text.err
    assert text.out == live.files.codec.decode(live.expected("def fib(n):", 12)) + "\n"
    assert "4 receipts" in text.err  # two nodes, chunks of 4 and 8: they have signed nothing yet
    assert "nexus verify" in text.err

    answer = user("ask", "def fib(n):", "--max-tokens", 40, "--temperature", 0.7, "--seed", 3, "--json").json
    assert len(answer["tokens"]) == 40
    assert int(answer["cost_wei"]) == sum(int(receipt["price_wei"]) for receipt in answer["receipts"])
    verified = user("verify", answer["answer_file"], "--json")
    assert (verified.code, verified.json["verified"], verified.json["recomputed"]) == (0, True, True)
    assert user("verify", answer["order"], "--json").json["verified"]

    listed = user("session", "list", "--json").json["sessions"]
    assert [(s["session"], s["state"], len(s["orders"])) for s in listed] == [(session, "open", 2)]
    assert user("session", "close", session[:10], "--json").json["session"] == session
    early = user("session", "settle", "--json")
    assert early.code == 1
    assert early.json["error"]["type"] == "SessionStateError"
    for group in live.nodes:
        for node in group:
            assert node.run("withdraw").returncode == 0
    live.net.chain.advance(61)
    settled = user("session", "settle", "--json").json  # by us, or by a node that was quicker
    assert user("session", "settle", "--json").json["to_user_wei"] == settled["to_user_wei"]
    assert int(settled["to_vault_wei"]) * 9 <= int(settled["to_nodes_wei"])
    total = int(settled["to_nodes_wei"]) + int(settled["to_vault_wei"]) + int(settled["to_user_wei"])
    assert total == int(opened.json["locked_wei"])
    assert user("withdraw", "--json").json["withdrawn_wei"] == settled["to_user_wei"]
    assert user("withdraw").out.startswith("Nothing to withdraw")


def test_a_contract_account_pays_and_this_machine_asks(user: Nexus, live: LiveNetwork) -> None:
    connection, account = live.net.chain.connection, Wallet.ephemeral().address
    fees: list[int] = []
    live.net.chain.set_balance(account, 10**18)
    connection.request("anvil_setCode", account, "0x00")  # no key of its own: takes ether
    connection.request("anvil_impersonateAccount", account)

    def send(call: dict[str, str]) -> None:
        fields = {"from": account, "to": call["to"], "value": hex(int(call["value_wei"])), "data": call["data"]}
        receipt = connection.web3.eth.wait_for_transaction_receipt(connection.request("eth_sendTransaction", fields))
        assert receipt["status"] == 1
        fees.append(receipt["gasUsed"] * receipt["effectiveGasPrice"])

    wrong = account.swapcase().replace("0X", "0x")
    assert user("session", "prepare", wrong, "--json").json["error"]["type"] == "DocumentFormatError"
    made = user("session", "prepare", account.lower(), "--tokens", 60, "--json")
    assert made.code == 0, made.err
    session, calls = made.json["session"], made.json["calls"]
    assert made.json["account"] == account
    early = user("session", "adopt", session, "--json")
    assert early.json["error"]["type"] == "SessionStateError"
    send(calls["open"])
    assert user("session", "adopt", session[:20], "--json").json == {
        "session": session, "state": "open", "locked_wei": calls["open"]["value_wei"],
    }  # fmt: skip
    answer = user("ask", "def fib(n):", "--session", session, "--max-tokens", 12)
    assert answer.out == live.files.codec.decode(live.expected("def fib(n):", 12)) + "\n", answer.err
    send(calls["close"])
    assert user("session", "adopt", session, "--json").json["error"]["type"] == "SessionStateError"
    for group in live.nodes:
        for node in group:
            assert node.run("withdraw").returncode == 0
    live.net.chain.advance(61)
    settled = user("session", "settle", session, "--json").json
    assert 0 < int(settled["to_user_wei"]) < int(calls["open"]["value_wei"])
    send(calls["withdraw"])
    paid = int(calls["open"]["value_wei"]) - int(settled["to_user_wei"])
    assert connection.balance(account) == 10**18 - paid - sum(fees)


def test_operators_that_are_named_and_what_is_at_risk(
    user: Nexus, live: LiveNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    front, back = live.nodes[0][1].address, live.nodes[1][1].address
    operators = ("--operators", f"{front},{back}")
    opened = user("session", "open", "--tokens", 60, *operators, "--json")
    assert set(opened.json["caps"]) == {front, back}
    chosen = ("--session", opened.json["session"], "--max-tokens", 3, "--json")
    for given in ((), ("--operators", front.lower(), "--operators", back)):
        answer = user("ask", "def", *chosen, *given).json
        assert {receipt["node"] for receipt in answer["receipts"]} == {front, back}
    direct = user("ask", "def", "--direct", "--max-tokens", 3, *operators, "--value-at-risk", 10**16, "--json").json
    assert {receipt["node"] for receipt in direct["receipts"]} == {front, back}

    refused = user("ask", "def", *chosen, "--value-at-risk", 10**18).json["error"]
    assert refused["type"] == "StakeTooSmallError"
    assert f"stakes {STAKE} wei" in refused["message"]
    refused = user("session", "open", "--value-at-risk", 10**18, "--json").json["error"]
    assert refused["type"] == "StakeTooSmallError"
    monkeypatch.setenv("NEXUS_OPERATORS", front)
    refused = user("session", "open", "--json").json["error"]
    assert refused["type"] == "NoNodeForLayersError"
    assert "among the 1 operators that you named" in refused["message"]
    monkeypatch.setenv("NEXUS_OPERATORS", "somebody")
    assert user("ask", "def", "--direct", "--json").json["error"]["type"] == "DocumentFormatError"


def test_direct_answer_and_tampering(user: Nexus, tmp_path: Path) -> None:
    out = tmp_path / "answer.json"
    asked = user("ask", "def fib(n):", "--direct", "--max-tokens", 5, "--out", out, "--json")
    assert asked.code == 0, asked.err
    assert [entry["call"] for entry in asked.json["transactions"]] == ["payPerInference", "close"]
    assert asked.json["mode"] == "direct"
    assert user("verify", out).code == 0
    document = json.loads(out.read_text())
    root = document["receipts"][0]["document"]["outRoot"]
    document["receipts"][0]["document"]["outRoot"] = root[:-1] + ("0" if root[-1] != "0" else "1")
    out.write_text(json.dumps(document))
    caught = user("verify", out)
    assert caught.code == 1
    assert "2 receipts" in caught.out
    assert "FAILED" in caught.out


def test_bad_input(nexus: Nexus, user: Nexus, live: LiveNetwork, home: Path, tmp_path: Path) -> None:
    def error(printed: Printed) -> str:
        assert printed.code == 1
        return str(printed.json["error"]["type"])

    wrong = tmp_path / "password"
    wrong.write_text("wrong")
    where = ("--home", home, "--rpc", live.net.chain.rpc_url, "--model-dir", live.folder / "model")
    deployed = (*where, "--deployment", live.net.deployment_path)
    assert error(nexus(*deployed, "--password-file", wrong, "session", "open", "--json")) == "WalletPasswordError"
    assert error(user("ask", "x" * 2000, "--direct", "--json")) == "PromptTooLongError"
    assert error(user("ask", "x", "--direct", "--max-wei", 1, "--json")) == "PriceError"
    assert error(user("ask", "x", "--session", "ff" * 32, "--json")) == "SessionStateError"
    assert error(user("ask", "x", "--direct", "--model", "ff" * 32, "--json")) == "ModelFilesError"
    assert error(user("audit", "bafkqaaa", "--ipfs", "nonsense", "--json")) == "IpfsDaemonError"
    assert error(nexus(*where, "models", "--json")) == "DeploymentError"

    other = json.loads(live.net.deployment_path.read_text())
    (tmp_path / "other.json").write_text(json.dumps({**other, "chain_id": 1}))
    assert error(nexus(*where, "--deployment", tmp_path / "other.json", "models", "--json")) == "WrongChainError"

    poor = tmp_path / "poor"
    poor.mkdir()
    Wallet.create(poor / "wallet.json", PASSWORD, work=2**10)
    arguments = ("--home", poor, "--password-file", home / "password", *deployed[2:])
    assert error(nexus(*arguments, "session", "open", "--json")) == "UnfundedWalletError"
    audited = user("audit", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "--json")
    assert audited.code == 1
    assert not audited.json["steps"][-1]["passed"]


def test_a_question_opens_a_session_only_after_a_yes(
    nexus: Nexus, live: LiveNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    live.net.chain.set_balance(Wallet.create(tmp_path / "wallet.json", PASSWORD, work=2**10).address, 10**19)

    def asked(*arguments: object) -> Printed:
        place = ("--home", tmp_path, "--password-file", tmp_path / "password", "--rpc", live.net.chain.rpc_url)
        chain = ("--deployment", live.net.deployment_path, "--model-dir", live.folder / "model")
        return nexus(*place, *chain, *arguments)

    def sessions() -> int:
        return len(asked("session", "list", "--json").json["sessions"])

    question = ("ask", "def fib(n):", "--max-tokens", 3)
    assert asked(*question, "--json").json["error"]["type"] == "SessionStateError"
    assert asked(*question, "--yes", "--max-wei", 10**9, "--json").json["error"]["type"] == "PriceError"
    assert asked("ask", "x" * 2000, "--yes", "--json").json["error"]["type"] == "PromptTooLongError"
    assert sessions() == 0

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    answers = iter([False, True])
    monkeypatch.setattr("typer.confirm", lambda text, **_: next(answers))
    refused = asked(*question)
    assert (refused.code, "no session was opened" in refused.err) == (1, True)
    assert sessions() == 0
    monkeypatch.setattr("getpass.getpass", lambda prompt: PASSWORD)
    assert asked(*question).code == 0
    assert asked(*question).code == 0  # in the same session: nobody is asked again
    assert (sessions(), next(answers, None)) == (1, None)


def test_a_yes_opens_one_session(nexus: Nexus, live: LiveNetwork, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    place = ("--home", tmp_path, "--password-file", tmp_path / "password", "--rpc", live.net.chain.rpc_url)
    chain = ("--deployment", live.net.deployment_path, "--model-dir", live.folder / "model")
    first = nexus(*place, *chain, "ask", "def", "--max-tokens", 3, "--yes")
    assert first.code == 0, first.err
    assert "Development chain: made the wallet" in first.err
    listed = nexus(*place, *chain, "session", "list", "--json").json["sessions"]
    assert len(listed) == 1
    assert "One of 60 minutes locks" in first.err
    assert int(listed[0]["locked_wei"]) >= 2 * 4096 * PRICE
    assert nexus(*place, *chain, "ask", "def", "--max-tokens", 3, "--yes", "--json").code == 0
    assert len(nexus(*place, *chain, "session", "list", "--json").json["sessions"]) == 1
