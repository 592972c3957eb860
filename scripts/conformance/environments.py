"""Environments of their own for foreign clients, below build/conformance: made once, anew when a pin changes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path("build/conformance")


def python_with(name: str, pins: Sequence[str]) -> Path:
    """The interpreter of an environment that holds ``pins``."""
    place = FOLDER / name
    if _is_stale(place, list(pins)):
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        pip = [place / "bin" / "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *pins], check=True)
        _note(place, list(pins))
    return place / "bin" / "python"


def node_with(name: str, pins: Mapping[str, str]) -> Path:
    """A folder whose programs find the npm packages ``pins``."""
    place = FOLDER / name
    if _is_stale(place, dict(pins)):
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_text(json.dumps({"private": True, "type": "module", "dependencies": dict(pins)}))
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=place, check=True)
        _note(place, dict(pins))
    return place


def _is_stale(place: Path, pins: object) -> bool:
    noted = place / ".pins"
    return not noted.is_file() or json.loads(noted.read_text()) != pins


def _note(place: Path, pins: object) -> None:
    (place / ".pins").write_text(json.dumps(pins))
