"""What is installed is what is needed: declared dependencies, and the files that are no Python."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("nexus_chain", "node")


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports from elsewhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module if node.module.startswith("google.") else node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES)


def declared(entries: list[str]) -> set[str]:
    return {normalised(re.split(r"[=<>]", entry)[0]) for entry in entries}


#: Packages of extras are imported where their work is done, and nowhere else: whoever asks a model needs none of them.
EXTRAS = {
    "curriculum": ("nexus_chain/distillation/curriculum",),
    "distillation": ("nexus_chain/distillation", "nexus_chain/certificates"),
}
#: Imported by name though another package of the extra brings them: what a client sends through, and what it reads.
BROUGHT = {"httpx": "ollama", "httpx2": "openai", "httpcore2": "openai"}


def test_every_import_is_a_declared_dependency() -> None:
    owners, needed = packages_distributions(), declared(PROJECT["project"]["dependencies"])
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(set().union(*map(imported, files))) > 10
    for path in files:
        place = path.relative_to(ROOT).as_posix()
        extras = PROJECT["project"]["optional-dependencies"]
        own = needed.union(*(declared(extras[name]) for name, rooms in EXTRAS.items() if place.startswith(rooms)))
        for module in sorted(imported(path)):
            owner = {"protobuf"} if module.startswith("google.protobuf") else set(owners[module])
            names = {normalised(name) for name in owner} | {BROUGHT.get(module, "")}
            assert own & names, f"{place} imports {module}"


def test_files_that_are_no_python_are_packaged() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    packaged = {
        path for package in PACKAGES for pattern in patterns[package] for path in (ROOT / package).glob(pattern)
    }
    for needed in ("chain/artefacts", "engine/native", "models"):
        files = {path for path in (ROOT / "nexus_chain" / needed).rglob("*") if path.is_file()}
        assert files
        assert files <= packaged
