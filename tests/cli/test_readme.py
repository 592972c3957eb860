"""What README.md tells a newcomer to type exists: commands, options, targets, files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command
from typer.core import TyperGroup
from typer.main import get_command

from node.cli.app import app as nexus
from node.daemon.command import app as nexus_node

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PROGRAMS = {"nexus": get_command(nexus), "nexus-node": get_command(nexus_node)}


def typed() -> Iterator[str]:
    """Every command line: those in blocks, and what stands between backquotes."""
    for block in re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield from line.split("#")[0].replace("$'", "'").split(";")
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL))


def lines_of(program: str) -> list[list[str]]:
    """The words of every line that runs ``program``, without variables before and ``&`` behind."""
    words = [[word for word in shlex.split(line) if word != "&"] for line in typed()]
    words = [line[next((i for i, word in enumerate(line) if "=" not in word), 0) :] for line in words]
    return [line for line in words if line[:1] == [program]]


def options_of(command: Command) -> set[str]:
    """All spellings of a command's options."""
    return {"--help"}.union(*(parameter.opts for parameter in command.params))


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_commands_and_options_exist(program: str) -> None:
    lines = lines_of(program)
    assert len(lines) > 3
    for line in lines:
        command = PROGRAMS[program]
        options = options_of(command)
        for word in line[1:]:
            if isinstance(command, TyperGroup) and word in command.commands:
                command = command.commands[word]
                options |= options_of(command)
            if word.startswith("-"):
                assert word in options, " ".join(line)
        if len(line) > 1:
            assert not isinstance(command, TyperGroup), f"{' '.join(line)}: which command?"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line[1] for line in lines_of("make")}
    assert {"demo", "test", "check", "bench"} <= named <= targets


def test_files_exist() -> None:
    named = set(re.findall(r"(?:scripts|tests|node|nexus_chain)/[\w./-]*\w", README))
    assert len(named) >= 5
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]


def leaves(command: Command, name: str = "nexus") -> Iterator[tuple[str, Command]]:
    """Every command that does something, with its full name."""
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from leaves(inner, f"{name} {word}")


def test_every_nexus_command_takes_json() -> None:
    assert "Every `nexus` command takes `--json`" in README
    assert not [name for name, command in leaves(PROGRAMS["nexus"]) if "--json" not in options_of(command)]
