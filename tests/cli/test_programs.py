"""What both programs do alike: their version, completion, a quick ``--help``, and flags spelled the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click import Command
from typer.main import get_command

from nexus_chain.settings import SHARED
from node.cli.app import app as nexus
from node.daemon.command import app as nexus_node

PROGRAMS = {"nexus": "node.cli", "nexus-node": "node.daemon"}


def run(program: str, *words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", PROGRAMS[program]]
    return subprocess.run([sys.executable, *start, *words], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_version_is_said(program: str) -> None:
    done = run(program, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{program} ")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete(program: str, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without it typer looks for the shell that started the program, and a test has none.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    done = run(program, "--show-completion", shell)
    assert done.returncode == 0, done.stderr
    assert f"_{program}_COMPLETE".upper().replace("-", "_") in done.stdout
    assert program in done.stdout


@pytest.mark.parametrize(
    ("program", "word", "expected"), [("nexus", "ses", "session"), ("nexus-node", "reg", "register")]
)
def test_completion_knows_the_commands(program: str, word: str, expected: str) -> None:
    variable = f"_{program}_COMPLETE".upper().replace("-", "_")
    environment = {**os.environ, variable: "complete_bash", "COMP_WORDS": f"{program} {word}", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", PROGRAMS[program]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == [expected], done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_imports_nothing_heavy(program: str) -> None:
    code = f"""
import runpy, sys
sys.argv = [{program!r}, "--help"]
try:
    runpy.run_module({PROGRAMS[program]!r}, run_name="__main__")
except SystemExit:
    pass
print([name for name in ("torch", "web3", "eth_account", "numpy", "transformers", "z3") if name in sys.modules])
"""
    assert run(program, code=code).stdout.endswith("[]\n")


def flags(command: Command) -> set[str]:
    return {word for parameter in command.params if not getattr(parameter, "hidden", False) for word in parameter.opts}


def test_a_setting_has_one_flag_in_both_programs() -> None:
    spelled = {"--" + name.replace("_", "-") for name in SHARED}
    user, node = flags(get_command(nexus)), flags(get_command(nexus_node))
    shared = {"--home", "--rpc", "--chain-id", "--deployment", "--wallet", "--password-file"}
    assert shared | {"--confirmations", "--transaction-timeout", "--max-fee"} == node & spelled
    assert node & spelled <= user
    assert not {"--rpc-url", "--keystore"} & (user | node)


def test_old_flags_of_a_node_still_work(tmp_path: os.PathLike[str]) -> None:
    old = run("nexus-node", "--data", str(tmp_path), "--rpc-url", "ftp://old", "--keystore", "absent", "unbond")
    new = run("nexus-node", "--data", str(tmp_path), "--rpc", "ftp://old", "--wallet", "absent", "unbond")
    assert (old.returncode, new.returncode) == (1, 1)
    assert new.stderr in old.stderr
    assert "rpc_url is now spelled rpc" in old.stderr
