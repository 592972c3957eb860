"""The ``nexus`` command without a chain: wallets, usage, errors, verifying offline."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_chain.market.documents import checksum
from nexus_chain.market.errors import DocumentFormatError
from nexus_chain.workflows.workspace import operators_of
from node.cli.network import _asks, _price
from node.cli.output import ether
from tests.support.engine_answers import answer_of, small_model, with_receipt
from tests.support.invocation import Nexus, Printed

COMMANDS = [
    "ask",
    "backup",
    "deploy",
    "deploy-deposits",
    "doctor",
    "restore",
    "settings",
    "verify",
    "withdraw",
    "nodes",
    "models",
    "audit",
    "judge",
    "wallet",
    "session",
    "model",
]


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("open sesame\n")
    return path


def test_help_lists_every_command(nexus: Nexus) -> None:
    printed = nexus("--help")
    assert printed.code == 0
    assert all(f"  {command}" in printed.out for command in COMMANDS)
    for command in COMMANDS:
        assert nexus(command, "--help").code == 0


def test_entry_point_runs() -> None:
    done = subprocess.run([sys.executable, "-m", "node.cli", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Usage: nexus" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["ask"], ["ask", "x", "--max-tokens", "none"], ["verify", "x", "--level", "most"]]
)
def test_wrong_usage_is_exit_code_2(nexus: Nexus, arguments: list[str]) -> None:
    printed = nexus(*arguments)
    assert printed.code == 2
    assert printed.out == ""
    assert "Usage: nexus" in printed.err


def test_wallet_new_then_show(nexus: Nexus, tmp_path: Path, password: Path) -> None:
    home = tmp_path / "home"
    made = nexus("--home", home, "--password-file", password, "wallet", "new", "--json")
    assert made.code == 0
    address = made.json["address"]
    assert checksum(address) == address
    keystore = home / "wallet.json"
    assert made.json["keystore"] == str(keystore)
    assert keystore.stat().st_mode & 0o077 == 0
    shown = nexus("--home", home, "--rpc", "http://127.0.0.1:1", "wallet", "show")
    assert (shown.code, shown.out) == (0, address + "\n")
    assert "no chain answers" in shown.err
    again = nexus("--home", home, "--password-file", password, "wallet", "new", "--json")
    assert again.code == 1
    assert again.json["error"]["type"] == "WalletExistsError"


def test_missing_password_is_said(nexus: Nexus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    printed = nexus("--home", tmp_path, "wallet", "new")
    assert printed.code == 1
    assert "no password was given. Give a password file" in printed.err


def test_errors_carry_advice_on_stderr_and_json_on_stdout(nexus: Nexus, tmp_path: Path) -> None:
    printed = nexus("--home", tmp_path, "--rpc", "http://127.0.0.1:1", "models")
    assert (printed.code, printed.out) == (1, "")
    assert "no chain answers at http://127.0.0.1:1" in printed.err
    assert "Check the address" in printed.err
    document = nexus("--home", tmp_path, "--rpc", "http://127.0.0.1:1", "models", "--json").json
    assert document["error"]["type"] == "RpcUnreachableError"
    assert set(document["error"]) == {"type", "message", "advice"}


def test_verify_offline(nexus: Nexus, tmp_path: Path) -> None:
    model = small_model()
    model.save(tmp_path / "model")
    proof = answer_of(model, [1, 2, 3], 40)
    good = proof.save(tmp_path / "good.json")
    flipped = bytes([proof.receipts[4][0].out_root[0] ^ 1]) + proof.receipts[4][0].out_root[1:]
    lie = with_receipt(proof, 4, resign=True, out_root=flipped).save(tmp_path / "lie.json")
    forgery = with_receipt(proof, 4, resign=False, out_root=flipped).save(tmp_path / "forgery.json")
    offline = ("--model-dir", tmp_path / "model", "verify", "--offline")
    passed = nexus(*offline, good)
    assert passed.code == 0
    assert passed.out.count("passed") == 6
    assert "bit for bit" in passed.err
    caught = nexus(*offline, lie, "--json")
    assert caught.code == 1
    assert not caught.json["verified"]
    (wrong,) = [receipt for receipt in caught.json["receipts"] if not receipt["verified"]]
    assert (wrong["segment"], wrong["to_blame"], wrong["from_position"]) == (1, True, 3)
    told = nexus(*offline, lie)
    assert "node " + wrong["node"] + " lied" in told.out
    assert nexus(*offline, forgery, "--level", "trust").code == 1
    assert nexus(*offline, good, "--level", "trust").code == 0
    assert nexus(*offline, good, "--level", "sampled", "--rate", "0", "--json").json["recomputed"] is False


def test_verify_compares_a_request_with_its_model_or_not_at_all(nexus: Nexus, tmp_path: Path) -> None:
    """The names of models are a gateway's own: a small model could answer what a large one was asked."""
    model = small_model()
    model.save(tmp_path / "model")
    proof = answer_of(model, [1, 2, 3], 40)
    kept, version = proof.save(tmp_path / "answer.json"), "0x" + proof.order.model_version.hex()
    other, body = "0x" + "ab" * 32, tmp_path / "body.json"
    asked = {"model": "llama-405b", "prompt": [1, 2, 3], "max_tokens": 40, "temperature": 0}

    def verify(body_json: object, *words: object) -> Printed:
        body.write_text(json.dumps(body_json))
        offline = ("--model-dir", tmp_path / "model", "verify", "--offline", "--level", "trust", kept)
        return nexus(*offline, "--request", body, "--endpoint", "/v1/completions", *words)

    unknown = verify(asked)
    assert (unknown.code, unknown.out) == (1, "")
    assert "the model was not compared" in unknown.err
    assert version in unknown.err
    assert "--version" in unknown.err

    right = verify(asked, "--version", version)
    assert right.code == 0, right.err
    assert ("6 model      passed" in right.out, "7 request    passed" in right.out) == (True, True)
    assert f"Model version {version} was judged." in right.err
    told = verify(asked, "--version", version, "--json").json
    assert (told["model_version"], told["verified"]) == (version, True)

    wrong = verify(asked, "--version", other)
    assert wrong.code == 1
    assert f"6 model      FAILED: the answer is of model version {version} instead of {other}" in wrong.out
    assert "no whole id" in verify(asked, "--version", version[:10]).err
    assert nexus("verify", "--offline", "--level", "trust", kept, "--version", other).code == 1
    assert nexus("verify", "--offline", "--level", "trust", kept, "--version", version).code == 0

    several = {**asked, "prompt": [[1, 2, 3], [1, 2, 4]]}
    unnamed = verify(several, "--version", version)
    assert (unnamed.code, unnamed.out) == (1, "")
    assert "--prompt-index" in unnamed.err
    for index, code in ((0, 0), (1, 1)):
        assert verify(several, "--version", version, "--prompt-index", index).code == code
    assert "no prompt 2" in verify(several, "--version", version, "--prompt-index", 2).err
    assert "--request" in nexus("verify", "--offline", "--level", "trust", kept, "--prompt-index", 0).err


def test_verify_says_what_is_missing(nexus: Nexus, tmp_path: Path) -> None:
    printed = nexus("--home", tmp_path, "verify", tmp_path / "nothing.json")
    assert printed.code == 1
    assert "nexus ask" in printed.err
    (tmp_path / "broken.json").write_text("{")
    assert nexus("verify", "--offline", tmp_path / "broken.json", "--json").json["error"]["type"] == "ProofFileError"


def test_model_import_of_a_broken_checkpoint(nexus: Nexus, tmp_path: Path) -> None:
    printed = nexus("--home", tmp_path / "home", "model", "import", tmp_path, "--json")
    assert printed.code == 1
    assert printed.json["error"]["advice"]


def test_model_shard_writes_blocks(nexus: Nexus, tmp_path: Path) -> None:
    small_model().save(tmp_path / "model")
    printed = nexus("model", "shard", tmp_path / "model", "--shards", "2", "--json")
    assert printed.code == 0, printed.err
    files = [Path(entry["file"]) for entry in printed.json["shards"]]
    assert all(file.is_file() for file in files)
    assert printed.json["shards"][-1]["layers"][1] == 3
    assert (
        nexus("model", "shard", tmp_path / "model", "--shards", "9", "--json").json["error"]["type"]
        == "ShardCountError"
    )


def test_what_the_machine_refuses_is_one_line(nexus: Nexus, tmp_path: Path) -> None:
    small_model().save(tmp_path / "model")
    (tmp_path / "file").write_text("not a folder")
    printed = nexus("model", "shard", tmp_path / "model", "--out", tmp_path / "file" / "shards", "--json")
    assert (printed.code, printed.json["error"]["type"]) == (1, "OperatingSystemError")
    assert str(tmp_path / "file") in printed.json["error"]["message"]
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("command", [["ask"], ["embed"], ["session", "open"]])
def test_what_binds_and_who_reads_can_be_said(nexus: Nexus, command: list[str]) -> None:
    said = nexus(*command, "--help").out
    assert "--value-at-risk" in said
    assert "--operators" in said
    assert "NEXUS_OPERATORS" in said


def test_operators_are_addresses_repeated_or_with_commas() -> None:
    first, second = (checksum("0x" + f"{number:02x}" * 20) for number in (0xA1, 0xB2))
    assert operators_of([]) == operators_of(["", " , "]) == ()
    assert operators_of([f"{first.lower()}, {second}", first]) == (first, second)
    with pytest.raises(DocumentFormatError, match="not an address"):
        operators_of([f"{first};{second}"])


@pytest.mark.parametrize(
    ("wei", "shown"),
    [
        (0, "0 wei"),
        (999_999_999, "999999999 wei"),
        (10**9, "0.000000001 ETH"),
        (15 * 10**17, "1.5 ETH"),
        (-(10**18), "-1 ETH"),
    ],
)
def test_amounts(wei: int, shown: str) -> None:
    assert ether(wei) == shown


def test_prices_are_exact_and_in_a_unit_for_people() -> None:
    row = {"route_wei_per_token": str(2 * 10**9), "wei_per_token": "7", "share_basis_points": 0, "asks": []}
    assert _price(row) == "2000000000 wei (0.000000002 ETH)"
    assert _price({**row, "route_wei_per_token": "12"}) == "12 wei"
    assert _price({**row, "route_wei_per_token": None}) == "not served; suggested 7 wei"
    assert _price({**row, "share_basis_points": 250}) == "2000000000 wei (0.000000002 ETH) + 2.5 % for its publisher"
    asks = [
        {"layers": "0-1", "lowest_wei": "3", "highest_wei": "3"},
        {"layers": "1-3", "lowest_wei": "4", "highest_wei": "9"},
    ]
    assert _asks({"asks": asks}) == "0-1: 3; 1-3: 4 to 9"
