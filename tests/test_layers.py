"""Who may know whom: the rooms of the project, and what each of them may import.

Imports run downwards only. Lazy and type-checking imports count like any other: what a room knows for its
types it knows. A new room needs an entry here, with a sentence that says what it may not know.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Files directly in ``nexus_chain``: errors, JSON, hashes. They know nobody.
FOUNDATION = "foundation"
MACHINE = ("program", "engine", "commitments")
TRADE = ("market", "chain", "wire", "routing")
USER = ("drafting", "versions", "evidence", "client")


@dataclass(frozen=True)
class Room:
    """``may_know``: the rooms whose modules it may import. ``ignorance``: what it may not know, and why it matters."""

    may_know: tuple[str, ...]
    ignorance: str


ROOMS = {
    "program": Room((), "It knows no engine and no money: it is the meaning that all others must agree on."),
    "engine": Room(("program",), "It knows no trees and no signatures: it computes, whoever asks."),
    "commitments": Room(("program",), "It knows no engine: a root is the same whoever computed the rows."),
    "content": Room(("commitments",), "It knows no model: a block is bytes under a CID."),
    "planning": Room(MACHINE, "It knows no chain and no node's address: profiles are numbers that somebody measured."),
    "quality": Room((*MACHINE, "content", "versions"), "It knows no certificate: it measures, others certify."),
    "market": Room((), "It knows neither chain nor sockets: documents, signatures and prices are arithmetic."),
    "chain": Room(("market",), "It knows no tensors and no nodes' protocol: contracts and wallets only."),
    "wire": Room(("market",), "It knows no client and no daemon: both ends import it."),
    "routing": Room(("market", "chain"), "It knows no connection: it chooses among what others found out."),
    "disputes": Room(MACHINE, "It knows no chain: a game's moves are computed here and sent elsewhere."),
    "drafting": Room((*MACHINE, "market"), "It knows no session: a draft is a guess, and costs nobody anything."),
    "versions": Room((*MACHINE, "content", "drafting", "chain"), "It knows no node: files are found on this disk."),
    "training": Room(("program", "versions"), "It knows no certificate: a run says what it did, others sign it."),
    "distillation": Room(
        (*MACHINE, "content", "quality", "versions", "training"),
        "It knows no chain and no client: a teacher is an address, and what was learned is files.",
    ),
    "certificates": Room(
        (*MACHINE, "content", "quality", "market", "versions", "training", "distillation"),
        "It knows no chain: what is anchored is asked for through a protocol.",
    ),
    "evidence": Room(
        (*MACHINE, "market", "chain", "wire", "versions", "disputes"),
        "It knows no client and no connection: whoever holds the file can judge it, and accuse.",
    ),
    "client": Room((*MACHINE, *TRADE, *USER), "It knows no program's flags and no daemon."),
    "workflows": Room(
        (
            *(*MACHINE, *TRADE, *USER, "content", "planning", "quality", "disputes", "certificates", "training"),
            "distillation",
        ),
        "It knows no terminal and no HTTP: it tells an observer how far it is.",
    ),
    "node.flags": Room((), "It knows no program: flags that both have, spelled alike."),
    "node.cli": Room(
        (
            *(*MACHINE, *TRADE, *USER, "content", "planning", "quality", "disputes", "certificates"),
            *("distillation", "workflows", "node.flags"),
        ),
        "It knows no daemon: the two programs meet on the wire and on the chain.",
    ),
    "node.daemon": Room(
        (*MACHINE, *TRADE, "planning", "disputes", "versions", "node.flags"),
        "It knows no client: it serves strangers, and trusts none of their code.",
    ),
    "node.watch": Room(
        (*MACHINE, *TRADE, *USER, "disputes", "node.flags", "node.daemon"),
        "It knows no command line of users; of the daemon it knows the settings, the log and the view of the chain.",
    ),
    "node.gateway": Room(
        (*MACHINE, *TRADE, *USER, "content", "workflows", "node.flags"),
        "It knows no node's inside and no command line: to the network it is a client, to its callers a server.",
    ),
}  # fmt: skip

#: Imports against the table, each with its reason: (file, room).
EXCEPTIONS = {
    ("node/daemon/command.py", "node.watch"): "`nexus-node watch` is a command of the program that this file is.",
}

#: Public names that may stand in several modules, each with its reason.
REPEATED_NAMES = {
    "FORMAT": "every kind of file names its own format",
    "log": "every module logs under its own name",
    "router": "each file of routes is one FastAPI router",
    "app": "each group of commands is one typer application",
    "main": "each program has one",
    "MODULES": "each family of checkpoints says the same things about itself",
    "IGNORED": "each family of checkpoints says the same things about itself",
    "expected_tensors": "each family of checkpoints says the same things about itself",
    "needed": "each op kind says what its step needs, under one name, and is collected by it",
    "revision": "each migration says the same things about itself, as Alembic reads them",
    "down_revision": "each migration says the same things about itself, as Alembic reads them",
    "upgrade": "each migration says the same things about itself, as Alembic reads them",
    "GAS_PER_ENTRY": "each op kind says what an entry of its witness costs, under one name",
}


@dataclass(frozen=True)
class Import:
    """One imported module, and where."""

    path: Path
    line: int
    module: str

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def sources() -> list[Path]:
    """Every module of the packages; generated ones are not ours to judge."""
    return [
        path
        for package in ("nexus_chain", "node")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.name.endswith("_pb2.py")
    ]


def room_of(module: str) -> str | None:
    """The room of a dotted module name: None for the package's own top, and for modules of others."""
    parts = module.split(".")
    if parts[0] == "node":
        return ".".join(parts[:2]) if len(parts) > 1 else None
    if parts[0] != "nexus_chain":
        return None
    if len(parts) == 1:
        return "nexus_chain"
    return parts[1] if (ROOT / "nexus_chain" / parts[1]).is_dir() else FOUNDATION


def module_of(path: Path) -> str:
    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


def imports_of(path: Path, source: str) -> Iterator[Import]:
    """Every import of ours in a file, wherever it stands in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            assert node.module
            # `from nexus_chain import chain` names a room, too.
            rooms = [f"{node.module}.{alias.name}" for alias in node.names]
            for module in rooms if node.module in ("nexus_chain", "node") else [node.module]:
                yield Import(path, node.lineno, module)


def broken_rules(path: Path, source: str) -> list[str]:
    """A sentence for each import of ``source`` that its room may not have."""
    home = room_of(module_of(path))
    if home is None or home == "nexus_chain":
        return []  # the package's own face may know all of it
    found = []
    for one in imports_of(path, source):
        other = room_of(one.module)
        if other in (None, home, FOUNDATION):
            continue
        if home == FOUNDATION:
            found.append(f"{one.place}: the foundation may know nobody, and imports {one.module}")
        elif other not in ROOMS[home].may_know and (str(path.relative_to(ROOT)), other) not in EXCEPTIONS:
            found.append(f"{one.place}: {home} may not know {other} ({one.module}). {ROOMS[home].ignorance}")
    return found


def public_names(source: str) -> Iterator[str]:
    """What a module defines for others: functions, classes and constants without an underscore."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(module_of(path)) for path in sources()} - {None, "nexus_chain", FOUNDATION}
    assert rooms == set(ROOMS)
    assert all(room.ignorance.startswith("It knows") for room in ROOMS.values())


def test_the_table_runs_downwards() -> None:
    """No two rooms know each other, over however many others."""

    def known(room: str, above: tuple[str, ...]) -> None:
        assert room not in above, " -> ".join((*above, room))
        for other in ROOMS[room].may_know:
            if other != room:
                known(other, (*above, room))

    for room in ROOMS:
        known(room, ())


@pytest.mark.parametrize("room", [*ROOMS, FOUNDATION])
def test_room_imports_only_what_it_may_know(room: str) -> None:
    files = [path for path in sources() if room_of(module_of(path)) == room]
    assert files
    broken = [rule for path in files for rule in broken_rules(path, path.read_text())]
    assert not broken, "\n" + "\n".join(broken)


def test_exceptions_are_needed() -> None:
    for name, other in EXCEPTIONS:
        path = ROOT / name
        assert other in {room_of(one.module) for one in imports_of(path, path.read_text())}, name


@pytest.mark.parametrize(
    "line",
    [
        "from nexus_chain.client.session import Session",
        "import nexus_chain.client.session",
        "from nexus_chain import client",
        "def later():\n    from nexus_chain.client.session import Session",
        "if TYPE_CHECKING:\n    from nexus_chain.client.session import Session",
    ],
)
def test_broken_rule_is_named_with_its_line(line: str) -> None:
    place = ROOT / "nexus_chain" / "chain" / "contracts.py"
    (broken,) = {rule.split(" (")[0] for rule in broken_rules(place, f"'''A module.'''\n{line}\n")}
    at = 1 + next(number for number, text in enumerate(line.splitlines(), 1) if "import" in text)
    assert broken == f"nexus_chain/chain/contracts.py:{at}: chain may not know client"


def test_no_public_name_means_two_things() -> None:
    defined: dict[str, set[str]] = defaultdict(set)
    for path in sources():
        if path.is_relative_to(ROOT / "node" / "cli") or path.name == "command.py":
            continue  # functions there are commands, named as the user types them
        for name in public_names(path.read_text()):
            defined[name].add(str(path.relative_to(ROOT)))
    repeated = {name: sorted(places) for name, places in defined.items() if len(places) > 1}
    unknown = {name: places for name, places in repeated.items() if name not in REPEATED_NAMES}
    assert not unknown, "\n" + "\n".join(f"{name}: {', '.join(places)}" for name, places in sorted(unknown.items()))
    assert set(REPEATED_NAMES) <= set(repeated) | {"app", "main"}, "a name of the list is no longer repeated"


def test_every_errors_module_is_in_the_root_tree() -> None:
    tree = ast.get_docstring(ast.parse((ROOT / "nexus_chain" / "errors.py").read_text())) or ""
    modules = [module_of(path) for path in sources() if path.name == "errors.py" and path.parent.name != "nexus_chain"]
    missing = [module for module in modules if module not in tree.split()]
    assert not missing, f"nexus_chain/errors.py does not name {', '.join(missing)}"
    named = [word for word in tree.split() if word.endswith(".errors")]
    assert sorted(named) == sorted(modules)
