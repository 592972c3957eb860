"""The page's engine: the shipped module is made of the kernels that lie beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scripts.web_engine import HASHING, KERNELS, ROOT, STAMP, TARGET, compiled_from, is_current, main, stamp_of


def test_the_shipped_module_is_current() -> None:
    assert is_current(), "run: python -m scripts.web_engine"
    assert json.loads((ROOT / STAMP).read_text()) == stamp_of((ROOT / TARGET).read_bytes())
    assert main(["--if-stale"]) == 0


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A tree with the sources, the module and the pins."""
    for folder in (KERNELS, HASHING):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / TARGET).parent.mkdir(parents=True)
    for file in (TARGET, STAMP, Path("pyproject.toml")):
        shutil.copy(ROOT / file, tmp_path / file)
    assert is_current(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", [KERNELS / "rows.h", HASHING / "leaves.c"])
def test_a_changed_kernel_makes_it_stale(copied: Path, file: Path) -> None:
    kernel = copied / file
    kernel.write_text(kernel.read_text() + "\n")
    assert not is_current(copied)


def test_another_compiler_makes_it_stale(copied: Path) -> None:
    pins = copied / "pyproject.toml"
    pins.write_text(pins.read_text().replace("ziglang==", "ziglang==9."))
    assert compiled_from(copied)["compiler"].startswith("ziglang==9.")
    assert not is_current(copied)


def test_an_altered_module_is_not_the_one_that_was_made(copied: Path) -> None:
    wasm = bytearray((copied / TARGET).read_bytes())
    wasm[-1] ^= 1
    (copied / TARGET).write_bytes(wasm)
    assert not is_current(copied)
    (copied / TARGET).unlink()
    assert not is_current(copied)
