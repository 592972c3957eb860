"""What README.md and docs/*.md tell a reader to type exists: commands, options, targets, files, links."""

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
from node.gateway.command import app as nexus_gateway

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = (README, *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = {
    "nexus": get_command(nexus), "nexus-node": get_command(nexus_node), "nexus-gateway": get_command(nexus_gateway)
}  # fmt: skip
#: Pages that a reader finds from the README, by who they are.
READERS = ("start", "user", "operator", "auditor", "publisher", "developer")
#: Options of a program that need no command.
COMPLETE_OPTIONS = ("--help", "--version", "--install-completion", "--show-completion")

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)


def typed(document: Path) -> Iterator[str]:
    """Every command line: those in blocks, and what stands between backquotes."""
    text = document.read_text()
    for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield from line.split("#")[0].replace("$'", "'").split(";")
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def words_of(line: str) -> list[str]:
    """The words of a line; of one that is no command, such as a formula, as far as blanks tell them apart."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def lines_of(program: str, document: Path) -> list[list[str]]:
    """The words of every line that runs ``program``, without variables before and ``&`` behind."""
    words = [[word for word in words_of(line) if word != "&"] for line in typed(document)]
    words = [line[next((i for i, word in enumerate(line) if "=" not in word), 0) :] for line in words]
    return [line for line in words if line[:1] == [program]]


def options_of(command: Command) -> set[str]:
    """All spellings of a command's options."""
    return {"--help"}.union(*((*parameter.opts, *parameter.secondary_opts) for parameter in command.params))


def all_options(command: Command) -> set[str]:
    """The options of a command and of all below it."""
    inner = command.commands.values() if isinstance(command, TyperGroup) else ()
    return options_of(command).union(*(all_options(one) for one in inner))


def check_line(program: str, line: list[str]) -> None:
    command = PROGRAMS[program]
    options = options_of(command)
    for word in line[1:]:
        if isinstance(command, TyperGroup) and word in command.commands:
            command = command.commands[word]
            options = options_of(command)
        if word.startswith("-") and word != "-":
            assert word in options, " ".join(line)
    if len(line) > 1 and line[1] not in COMPLETE_OPTIONS:
        assert not isinstance(command, TyperGroup), f"{' '.join(line)}: which command?"


@each_document
@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_commands_and_options_exist(program: str, document: Path) -> None:
    for line in lines_of(program, document):
        check_line(program, line)


@pytest.mark.parametrize("program", ["nexus", "nexus-node"])
def test_documents_show_how_programs_are_used(program: str) -> None:
    shown = {" ".join(line) for document in DOCUMENTS for line in lines_of(program, document)}
    assert len(shown) > 10


@each_document
def test_options_named_alone_exist(document: Path) -> None:
    """``--audits SHARE`` in a table is an option of one of the programs, or of the deployment's script."""
    known = set(re.findall(r'"(--[a-z-]+)"', (ROOT / "scripts" / "deploy.py").read_text()))
    known = known.union(*(all_options(program) for program in PROGRAMS.values()))
    named = {words_of(line)[0] for line in typed(document) if line.startswith("--")}
    assert named <= known


@each_document
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {target for line in lines_of("make", document) for target in line[1:2]} <= targets


def test_the_two_commands_are_in_the_readmes_first_twenty_lines() -> None:
    beginning = "\n".join(README.read_text().splitlines()[:20])
    assert "\nmake demo " in beginning
    assert "\nmake test " in beginning


@each_document
def test_files_exist(document: Path) -> None:
    text = re.sub(r"https?://\S+", "", document.read_text())
    named = set(re.findall(r"(?<![\w/.-])(?:scripts|tests|node|nexus_chain|docs|contracts)/[\w./-]*\w", text))
    named |= {module.replace(".", "/") + ".py" for module in re.findall(r"-m (scripts[\w.]*\w)", text)}
    places = [ROOT / path for path in sorted(named)]
    if document.stem.startswith("adding-"):  # names files that its reader is to make, in folders that exist
        places = [path if path.exists() else path.parent for path in places]
    assert not [path for path in places if not path.exists()]


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    assert not [link for link in links if not (document.parent / link).exists()]


def test_the_readme_leads_every_reader_on() -> None:
    links = set(re.findall(r"\]\(([^)]+)\)", README.read_text()))
    assert {f"docs/{reader}.md" for reader in READERS} <= links


def leaves(command: Command, name: str = "nexus") -> Iterator[tuple[str, Command]]:
    """Every command that does something, with its full name."""
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from leaves(inner, f"{name} {word}")


def test_every_nexus_command_takes_json() -> None:
    assert "Every `nexus` command takes `--json`" in (ROOT / "docs" / "user.md").read_text()
    assert not [name for name, command in leaves(PROGRAMS["nexus"]) if "--json" not in options_of(command)]
