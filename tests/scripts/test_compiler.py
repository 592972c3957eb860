"""Which Solidity compiler forge uses: a native one of the pinned version where there is one, else npm's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PINNED = str(json.loads((ROOT / "package.json").read_text())["dependencies"]["solc"])


def provide_native(folder: Path, version: str) -> Path:
    """A program that calls itself solc ``version``."""
    folder.mkdir(parents=True)
    compiler = folder / f"solc-{PINNED}"
    compiler.write_text(f'#!/bin/sh\necho "Version: {version}+commit.00000000.Linux.g++"\n')
    compiler.chmod(0o755)
    return compiler


def chosen_by_forge(home: Path) -> str:
    """The compiler in forge's configuration, for a user with this home folder and no solc on PATH."""
    path = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if shutil.which("solc", path=folder) is None
    )
    done = subprocess.run(
        [ROOT / "scripts" / "forge", "config", "--json"],
        env={**os.environ, "HOME": str(home), "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(done.stdout)["solc"])


def test_a_native_compiler_of_the_pinned_version_is_preferred(tmp_path: Path) -> None:
    compiler = provide_native(tmp_path / ".svm" / PINNED, PINNED)
    assert chosen_by_forge(tmp_path) == str(compiler)


@pytest.mark.parametrize("version", ["0.8.36", "0.8.370"])
def test_another_version_is_left_alone(tmp_path: Path, version: str) -> None:
    provide_native(tmp_path / ".svm" / PINNED, version)
    assert chosen_by_forge(tmp_path).endswith("scripts/solc")


def test_the_shim_is_the_pinned_version() -> None:
    said = subprocess.run([ROOT / "scripts" / "solc", "--version"], capture_output=True, text=True, check=True).stdout
    assert f"Version: {PINNED}+" in said
