"""What an operator has beside serving: unit file, doctor, backup, log, earnings."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.backup import unpack_backup
from nexus_chain.event_log import EventLog
from node.daemon.configuration import NodeConfiguration
from node.daemon.errors import ConfigurationError
from node.daemon.ledger.write_ahead_log import LOGGED_EVENTS
from node.daemon.systemd_unit import unit_of
from tests.support.network import Network, NodeProcess, network


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("net")) as made:
        yield made


def checks(node: NodeProcess, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = subprocess.run(node.command("doctor", "--json"), capture_output=True, text=True, timeout=120)
    document = json.loads(done.stdout)
    assert document["passed"] == (done.returncode == 0)
    return done.returncode, {one.pop("check"): one for one in document["checks"]}


def test_a_doctor_knows_a_node_before_and_after(net: Network, tmp_path: Path) -> None:
    node = NodeProcess(net, tmp_path / "node", 0, 1)
    node.folder.chmod(0o700)
    code, found = checks(node)
    assert (code, found["registration"]["level"], found["TLS key"]["level"]) == (1, "FAIL", "WARN")
    assert "nexus-node register" in found["registration"]["advice"]
    assert node.run("register").returncode == 0
    (node.folder / "password").chmod(0o600)
    code, found = checks(node)
    assert code == 0, found
    assert {name for name, one in found.items() if one["level"] != "OK"} <= {"packages", "engine", "disk"}
    assert found["shard"]["said"].startswith("layers 0-1 of 3")
    assert found["endpoint"]["said"] == f"127.0.0.1:{node.port} leads here"

    (node.folder / "wallet.json").chmod(0o644)
    (node.folder / "node.toml").write_text("log_file = '/dev/null/log'\n")
    with socket.create_server(("127.0.0.1", node.port)):
        code, found = checks(node)
    assert code == 1
    assert {name for name, one in found.items() if one["level"] == "FAIL"} == {"log", "wallet", "port"}


def test_a_running_node_is_backed_up_and_its_log_has_no_secret(net: Network, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "node.log"
    extra = ("--log-file", str(log), "--log-format", "json", "--log-level", "info")
    node = NodeProcess(net, tmp_path / "node", 0, 1, extra=extra)
    assert node.run("register").returncode == 0
    node.start()
    try:
        saved = node.run("backup", str(tmp_path / "saved"))
        assert saved.returncode == 0, saved.stderr
        assert "daemon runs on this folder" in checks(node)[1]["daemon"]["said"]
        (tmp_path / "moved").mkdir()
        log.rename(tmp_path / "moved" / "node.log")
    finally:
        node.stop()
    assert node.code == 0
    made = unpack_backup(tmp_path / "saved", tmp_path / "copy", "node")
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert made.files >= 6
    assert {"wallet.json", "node.toml", "tls.key", "tls.crt", "events.sqlite", "receipts.sqlite"} <= names
    assert not any(name.startswith(".") or name.endswith(("-wal", "-shm")) for name in names)
    copied = EventLog[object](tmp_path / "copy" / "events.sqlite", LOGGED_EVENTS)
    assert list(copied.events()) == []
    copied.close()
    lines = [json.loads(line) for line in (tmp_path / "moved" / "node.log").read_text().splitlines()]
    assert any("announced layers 0-1" in line["message"] for line in lines)
    text = json.dumps(lines)
    assert (node.folder / "password").read_text().strip() not in text
    assert "PRIVATE" not in text


def test_a_new_node_is_not_staked_without_a_yes(net: Network, tmp_path: Path) -> None:
    node = NodeProcess(net, tmp_path / "node", 0, 1)
    refused = subprocess.run(
        node.command("start"), cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert refused.returncode == 1
    stake = net.user.nodes.minimum_stake()
    question = f"{node.address} is not registered yet. Register it with a stake of {stake} wei?"
    assert f"error: {question} There is no terminal to ask at" in refused.stderr
    assert "Give `start --yes`" in refused.stderr
    assert not (node.folder / "node.toml").exists()
    assert net.chain.connection.balance(node.address) == 10**18
    assert net.chain.connection.transaction_count(node.address) == 0

    node.extra = ("--block", str(tmp_path / "absent"))
    missing = node.run("start", "--yes")
    assert (missing.returncode, "there is no block" in missing.stderr) == (1, True)
    assert net.chain.connection.transaction_count(node.address) == 0


def test_earnings_of_a_node_without_any(net: Network, tmp_path: Path) -> None:
    node = NodeProcess(net, tmp_path / "node", 0, 1)
    done = node.run("earnings", "--by", "month", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["node"], said["by"], said["time_zone"], said["periods"]) == (node.address, "month", "UTC", [])


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    data = tmp_path / 'a %b "c" $d'
    data.mkdir()
    configuration = NodeConfiguration(data, tmp_path, password_file=tmp_path / "password")
    with pytest.raises(ConfigurationError, match=r"node\.toml"):
        unit_of(configuration)
    configuration.save()
    with pytest.raises(ConfigurationError, match="password"):
        unit_of(NodeConfiguration(data))
    text = unit_of(configuration)
    for line in ("Restart=on-failure", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet="):
        assert line in text.splitlines()
    assert sys.executable in text
    verifier = shutil.which("systemd-analyze")
    if verifier is not None:
        unit = tmp_path / "nexus-node.service"
        unit.write_text(text)
        done = subprocess.run([verifier, "verify", str(unit)], capture_output=True, text=True)
        assert str(unit) not in done.stderr, done.stderr
        assert "nexus-node.service:" not in done.stderr, done.stderr
