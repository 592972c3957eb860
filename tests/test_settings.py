"""Where a setting's value comes from, and what is said about a wrong one."""

from __future__ import annotations

import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest

from nexus_chain.errors import NexusError, SettingsError
from nexus_chain.settings import (
    DEFAULT_RPC,
    SHARED,
    Explained,
    Settings,
    explain_settings,
    load_settings,
    nexus_home,
    read_toml,
)
from node.daemon.configuration import NodeConfiguration, explain_configuration
from node.daemon.configuration import load as load_node


def test_flags_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('rpc = "http://file"\nwallet = "file.json"\nipfs = "/file"\nchain_id = 5\n')
    environment = {"NEXUS_HOME": str(tmp_path), "NEXUS_WALLET": "variable.json", "NEXUS_IPFS": "/variable"}
    found = load_settings({"ipfs": "/flag", "wallet": None}, environment=environment)
    assert (found.home, found.ipfs, found.wallet) == (tmp_path, "/flag", Path("variable.json"))
    assert (found.rpc, found.chain_id, found.deployment) == ("http://file", 5, None)
    assert load_settings({"home": tmp_path / "empty"}, environment=environment).rpc == DEFAULT_RPC


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert load_settings({"home": tmp_path}, environment={"NEXUS_RPC": "", "NEXUS_CHAIN_ID": ""}) == Settings(tmp_path)
    assert nexus_home({"NEXUS_HOME": ""}) == Path.home() / ".nexus"


def test_operators_are_a_list_or_words_with_commas(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('operators = ["0xa", "0xb, 0xc"]')
    assert load_settings({"home": tmp_path}, environment={}).operators == ("0xa", "0xb", "0xc")
    assert load_settings({"home": tmp_path}, environment={"NEXUS_OPERATORS": "0xd,0xe"}).operators == ("0xd", "0xe")


def test_another_file_is_named_by_flag_or_variable(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("chain_id = 7")
    named = {"NEXUS_CONFIG": str(tmp_path / "other.toml")}
    assert load_settings({"home": tmp_path}, tmp_path / "other.toml", {}).chain_id == 7
    assert load_settings({"home": tmp_path}, environment=named).chain_id == 7
    with pytest.raises(SettingsError, match="there is no file"):
        load_settings({"home": tmp_path}, tmp_path / "absent.toml", {})


@pytest.mark.parametrize(
    ("text", "told"),
    [("nonsense = 1", "no setting 'nonsense'"), ("chain_id = 'x'", "not a whole number"), ("rpc", "cannot be read")],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError, match=told) as error:
        load_settings({"home": tmp_path}, environment={})
    assert error.value.advice


def test_the_table_of_the_users_manual_is_true() -> None:
    manual = (Path(__file__).resolve().parents[1] / "docs" / "user.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `(--[a-z-]+)` \| `(NEXUS_\w+)` \|(?: `(\w+)`)? \|", manual, re.MULTILINE)
    written = {name: "" if name in ("home", "config") else name for name in (*SHARED, "config")}
    assert sorted(rows) == sorted(
        (f"--{name.replace('_', '-')}", f"NEXUS_{name.upper()}", key) for name, key in written.items()
    )


def test_keys_in_rpc_addresses_are_not_shown() -> None:
    rpc = "https://me:pw@a.example/v3/KEY,http://127.0.0.1:8545,https://b.example/KEY"
    shown = Explained("rpc", rpc, "NEXUS_RPC").shown
    assert shown == "https://a.example/[hidden],http://127.0.0.1:8545,https://b.example/[hidden]"


# ---------------------------------------------------------------- the node's


def test_both_programs_spell_a_setting_alike() -> None:
    node = {entry.name for entry in fields(NodeConfiguration)}
    shared = {
        "home",
        "rpc",
        "confirmations",
        "transaction_timeout",
        "max_fee",
        "chain_id",
        "deployment",
        "wallet",
        "password_file",
    }
    assert shared == node & set(SHARED)


def test_a_nodes_own_variable_wins_over_the_one_that_programs_share(tmp_path: Path) -> None:
    shared = {"NEXUS_RPC": "http://both", "NEXUS_CHAIN_ID": "7", "NEXUS_PRICE": "9"}
    found = load_node(tmp_path, {}, environment={**shared, "NEXUS_NODE_RPC": "http://node"})
    assert (found.rpc, found.chain_id, found.price) == ("http://node", 7, None)
    assert load_node(tmp_path, {}, environment={**shared, "NEXUS_NODE_RPC_URL": "http://old"}).rpc == "http://old"


def test_a_node_never_takes_the_wallet_of_its_owners_other_program(tmp_path: Path) -> None:
    """It would stake from it."""
    shared = {"NEXUS_WALLET": "mine.json", "NEXUS_PASSWORD_FILE": "mine"}
    found = load_node(tmp_path, {}, environment=shared)
    assert (found.wallet, found.password_file) == (None, None)
    own = {"NEXUS_NODE_WALLET": "node.json", "NEXUS_NODE_PASSWORD_FILE": "node"}
    found = load_node(tmp_path, {}, environment={**shared, **own})
    assert (found.wallet, found.password_file) == (Path("node.json"), Path("node"))


def test_old_spellings_are_read_and_written_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "node.toml").write_text('rpc_url = "http://old"\nkeystore = "old.json"\nprice = 3\n')
    with caplog.at_level(logging.WARNING):
        found = load_node(tmp_path, {}, environment={})
    assert (found.rpc, found.wallet, found.price) == ("http://old", Path("old.json"), 3)
    assert "the setting rpc_url is now spelled rpc" in caplog.text
    assert "the setting keystore is now spelled wallet" in caplog.text
    found.save()
    caplog.clear()
    assert load_node(tmp_path, {}, environment={}) == found
    assert caplog.text == ""
    assert not {"rpc_url", "keystore", "home", "data"} & set(read_toml(tmp_path / "node.toml", required=True))


def test_a_new_spelling_wins_over_an_old_one(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text('rpc_url = "http://old"\nrpc = "http://new"\n')
    assert load_node(tmp_path, {}, environment={}).rpc == "http://new"


# ------------------------------------------------------- numbers, and where a value comes from


@pytest.mark.parametrize("written", ["1.9", "1.0", "true", "[1]", "'1.9'", "inf"])
def test_a_whole_number_is_never_made_of_another(tmp_path: Path, written: str) -> None:
    (tmp_path / "node.toml").write_text(f"price = {written}\n")
    with pytest.raises(SettingsError, match=r"price = .* is not a whole number"):
        load_node(tmp_path, {}, environment={})


@pytest.mark.parametrize("written", ["nan", "inf", "true", "'soon'"])
def test_times_are_finite_numbers(tmp_path: Path, written: str) -> None:
    (tmp_path / "node.toml").write_text(f"drain = {written}\n")
    with pytest.raises(SettingsError, match=r"drain = .* is not a number"):
        load_node(tmp_path, {}, environment={})


def test_variables_that_never_were_are_not_read(tmp_path: Path) -> None:
    never = {"NEXUS_RPC_URL": "http://x", "NEXUS_KEYSTORE": "x", "NEXUS_NODE_KEYSTORE": "old.json"}
    found = load_node(tmp_path, {}, environment=never)
    assert (found.rpc, found.wallet) == (DEFAULT_RPC, Path("old.json"))


def test_a_users_value_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("chain_id = 5\n")
    found = explain_settings({"rpc": "http://flag", "home": tmp_path}, None, {"NEXUS_IPFS": "/ipfs"})
    sources = {one.name: (one.value, one.source) for one in found}
    assert sources["home"] == (tmp_path, "--home")
    assert sources["rpc"] == ("http://flag", "--rpc")
    assert sources["ipfs"] == ("/ipfs", "NEXUS_IPFS")
    assert sources["chain_id"] == (5, str(tmp_path / "config.toml"))
    assert sources["wallet"] == (None, "default")
    assert list(sources) == list(SHARED)


def test_a_nodes_value_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text("orders = 3\nrpc_url = 'http://old'\n")
    found = explain_configuration(tmp_path, {"price": 5}, None, {"NEXUS_CHAIN_ID": "7"})
    sources = {one.name: (one.value, one.source) for one in found}
    assert sources["orders"] == (3, str(tmp_path / "node.toml"))
    assert sources["rpc"] == ("http://old", str(tmp_path / "node.toml"))
    assert sources["price"] == (5, "--price")
    assert sources["chain_id"] == (7, "NEXUS_CHAIN_ID")
    assert sources["threads"] == (0, "default")
    assert sorted(sources) == sorted(entry.name for entry in fields(NodeConfiguration))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NEXUS_CONFIRMATIONS", "0"),
        ("NEXUS_TRANSACTION_TIMEOUT", "-5"),
        ("NEXUS_TRANSACTION_TIMEOUT", "0"),
        ("NEXUS_MAX_FEE", "-1"),
        ("NEXUS_CHAIN_ID", "0"),
    ],
)
def test_values_out_of_range_name_where_they_come_from(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"out of range \({variable}\). Give \d"):
        load_settings({"home": tmp_path}, environment={variable: value})
    with pytest.raises(SettingsError, match=rf"out of range \({variable}\)"):
        load_node(tmp_path, {}, environment={variable: value})


@pytest.mark.parametrize(
    "given",
    [
        {"price": -1}, {"price": 2**128}, {"audit_price": -1}, {"withdraw_above": -1}, {"threads": -1}, {"orders": 0},
        {"drain": -1.0}, {"log_count": 0}, {"close_idle_after": -1}, {"settle_interval": 0.0}, {"trace_limit": "lots"},
        {"memory_limit": "1 elephant"}, {"log_level": "loud"}, {"log_format": "xml"}, {"log_bytes": "-1"},
        {"backend": "abacus"}, {"verification": "never"}, {"listen": "7070"}, {"staker": "0x12"},
        {"model_version": "0x12"},
    ],
)  # fmt: skip
def test_a_node_is_never_set_to_what_it_could_not_start_with(tmp_path: Path, given: dict[str, object]) -> None:
    """Regression: a stake was paid with such a setting, and the daemon refused it afterwards, or broke down."""
    (name,) = given
    with pytest.raises(NexusError, match=name):
        load_node(tmp_path, given, environment={})


def test_a_misspelt_setting_names_file_and_likely_word(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b'\xef\xbb\xbfpassword-file = "x"\n')  # with the mark that editors of Windows put first
    with pytest.raises(SettingsError, match=rf"'password-file' in {re.escape(str(path))}. Did you mean password_file"):
        load_settings({"home": tmp_path}, environment={})
    path.write_text("[operators]\na = 1\n")
    with pytest.raises(SettingsError, match="not a list of texts"):
        load_settings({"home": tmp_path}, environment={})


def test_the_home_of_nobody_is_refused(tmp_path: Path) -> None:
    for environment in ({"NEXUS_HOME": "~nobody-of-that-name/x"}, {"NEXUS_WALLET": "~nobody-of-that-name/x"}):
        with pytest.raises(SettingsError, match="no such user"):
            load_settings({}, environment={"NEXUS_HOME": str(tmp_path), **environment})
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="file is no folder"):
        load_settings({"home": tmp_path / "file"}, environment={})
    with pytest.raises(SettingsError, match=re.escape(str(Path.home() / "none.toml"))):
        load_settings({"home": tmp_path}, environment={"NEXUS_CONFIG": "~/none.toml"})
