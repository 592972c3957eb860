"""Fetch a native solc of the pinned version where the network has one; it compiles several times as fast.

    python -m scripts.native_solc

``py-solc-x`` downloads and checks it, into the folder where ``scripts/forge`` looks. Without a network nothing is
lost: ``scripts/solc`` runs the WebAssembly compiler that npm installed, and gives the same bytes.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import requests
import solcx
from solcx.exceptions import SolcInstallationError

ROOT = Path(__file__).resolve().parent.parent
#: Seconds that one read may take: a network that swallows packets must not hold up the set-up.
PATIENCE = 20


def pinned_version(root: Path = ROOT) -> str:
    """The version that package.json pins, like 0.8.37."""
    return str(json.loads((root / "package.json").read_text())["dependencies"]["solc"])


def fetch(version: str) -> str | None:
    """Install the compiler unless it is there. Returns why there is none, else None."""
    if version in map(str, solcx.get_installed_solc_versions()):
        return None
    socket.setdefaulttimeout(PATIENCE)
    try:
        solcx.install_solc(version)
    except (requests.RequestException, SolcInstallationError, OSError, ValueError) as cause:
        return type(cause).__name__
    return None


def main() -> int:
    if problem := fetch(pinned_version()):
        print(f"no native solc ({problem}): the WebAssembly one compiles, more slowly", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
