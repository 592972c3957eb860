#!/usr/bin/env python
"""Put the pinned solc where ape and py-solc-x look, and print that folder.

They look for ``$SOLCX_BINARY_PATH/solc-v<version>``. A native solc of the pinned version is
preferred (PATH, ~/.solcx, ~/.svm); else the shim ``scripts/solc`` over the WebAssembly
compiler in ``node_modules``. Needs no network and writes under ``build/`` only.

    export SOLCX_BINARY_PATH=$(python scripts/install_solc.py)
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "solcx"


def pinned_version(root: Path = ROOT) -> str:
    """The version that package.json pins, like 0.8.37."""
    return str(json.loads((root / "package.json").read_text())["dependencies"]["solc"])


def native_candidates(version: str) -> Iterator[Path]:
    """Places where a native compiler of that version may be installed."""
    on_path = shutil.which("solc")
    if on_path:
        yield Path(on_path)
    yield Path.home() / ".solcx" / f"solc-v{version}"
    yield Path.home() / ".svm" / version / f"solc-{version}"


def version_of(compiler: Path) -> str | None:
    """What ``compiler --version`` reports, or None when it does not run."""
    try:
        answer = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"Version: (\d+\.\d+\.\d+)", answer.stdout)
    return found.group(1) if found else None


def install(root: Path = ROOT, folder: Path = FOLDER) -> Path:
    """Link the best compiler as ``folder/solc-v<version>``; returns the folder."""
    version = pinned_version(root)
    link = folder / f"solc-v{version}"
    if link.exists() and version_of(link) == version:
        return folder
    shim = root / "scripts" / "solc"
    for compiler in (*native_candidates(version), shim):
        if compiler.exists() and version_of(compiler) == version:
            folder.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(compiler.resolve())
            return folder
    raise SystemExit(f"install_solc: no solc {version} found; run `make setup` (or install solc {version})")


if __name__ == "__main__":
    sys.stdout.write(f"{install()}\n")
