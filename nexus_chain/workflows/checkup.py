"""``nexus doctor``: whether this user's machine, home, chain and money are as they have to be. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_chain.chain.diagnosis import balance_there, chain_answers, clock_skew, contracts_stand
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.session_recovery import is_damaged
from nexus_chain.diagnosis import (
    FAIL,
    OK,
    WARN,
    Check,
    Finding,
    Report,
    disk_space,
    examine,
    packages,
    private,
    python_version,
    settings_said,
)
from nexus_chain.engine.diagnosis import engine_health
from nexus_chain.program.file_names import PROGRAM_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from nexus_chain.settings import Explained
from nexus_chain.versions.model_files import folders_in
from nexus_chain.workflows.workspace import Workspace


def check_user(workspace: Workspace, settings: Sequence[Explained]) -> Report:
    """Every check; ``settings``: where each value comes from."""
    home, rpc = workspace.home, workspace.settings.rpc
    machine: list[list[Check]] = [
        [("python", python_version)],
        [("packages", packages)],
        [("engine", engine_health)],
        [("settings", lambda: settings_said(settings))],
        [("home", lambda: _home(workspace)), ("disk", lambda: disk_space(home.root, 1 << 30))],
        [("session keys", lambda: _session_keys(workspace))],
        [("database", lambda: _database(workspace))],
        [("models", lambda: _models(workspace))],
        [("password file", lambda: _password_file(workspace))],
        [("wallet", lambda: _wallet(workspace))],
    ]
    chain: list[Check] = [
        ("chain", lambda: chain_answers(rpc, workspace.settings.chain_id)),
        ("clock", lambda: clock_skew(rpc)),
        ("deployment", lambda: contracts_stand(workspace.chain)),
        ("balance", lambda: _balance(workspace)),
    ]
    return examine(*machine, chain)


def _home(workspace: Workspace) -> Finding:
    root = workspace.home.root
    if not root.exists():
        return Finding(OK, f"{root} is made when something is kept")
    return private(root, "the home", must=False)


def _session_keys(workspace: Workspace) -> Finding:
    keys = sorted(workspace.home.session_keys.glob("*.key"))
    found = [one for key in keys if (one := private(key, "the session key")).level != OK]
    return found[0] if found else Finding(OK, f"{len(keys)} keys, readable by their owner only")


def _database(workspace: Workspace) -> Finding:
    path = workspace.home.database
    if not path.exists():
        return Finding(OK, "none yet: no session was opened from here")
    if is_damaged(path):
        return Finding(FAIL, f"{path} is damaged", "Run `nexus session recover`.")
    return private(path, "the database")


def _models(workspace: Workspace) -> Finding:
    places = [place for place in (workspace.settings.model_dir, workspace.home.models) if place is not None]
    folders = [folder for folder in folders_in(places) if any((folder / name).is_file() for name in _FILES)]
    broken = [
        f"{folder} lacks {', '.join(name for name in _FILES if not (folder / name).is_file())}"
        for folder in folders
        if not all((folder / name).is_file() for name in _FILES)
    ]
    if broken:
        return Finding(WARN, "; ".join(broken), "Import these models again.")
    return Finding(OK, f"{len(folders)} of your own, beside the shipped one")


_FILES = (PROGRAM_FILE, TOKENIZER_FILE, WEIGHTS_FILE)


def _password_file(workspace: Workspace) -> Finding:
    path = workspace.settings.password_file
    if path is None:
        return Finding(OK, "none: the password is asked for")
    return private(path, "the password file")


def _wallet(workspace: Workspace) -> Finding:
    path = workspace.wallet_path
    if not path.exists():
        return Finding(WARN, f"there is none at {path}", "Create one with `nexus wallet new`.")
    address = _known_address(workspace) or "an address that it does not state"
    found = private(path, "the keystore")
    return Finding(found.level, f"{address} in {path}" if found.level == OK else found.said, found.advice)


def _balance(workspace: Workspace) -> Finding:
    if not workspace.wallet_path.exists():
        return Finding(OK, "no wallet, no balance")
    address = _known_address(workspace)
    if address is None:
        return Finding(WARN, "not looked at: the keystore states no address", "Give --password-file to have it found.")
    return balance_there(workspace.chain, address)


def _known_address(workspace: Workspace) -> str | None:
    """The wallet's address, without a question for the password. Raises WalletError."""
    if workspace.settings.password_file is not None:
        return workspace.address
    return Wallet.address_in(workspace.wallet_path)
