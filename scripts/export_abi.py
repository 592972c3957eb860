#!/usr/bin/env python
"""Write the contracts' ABIs into nexus_chain/chain/abi, from what forge compiles.

python scripts/export_abi.py           write
python scripts/export_abi.py --check   exit 1 when a file is not current
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nexus_chain.chain.interfaces import CONTRACTS, PIECES  # noqa: E402

TARGET = ROOT / "nexus_chain" / "chain" / "abi"


def compile_contracts(root: Path = ROOT) -> Path:
    """Run forge (quick when nothing changed); returns the folder of artefacts, bytecode included."""
    artefacts = root / "build" / "forge"
    for force in ([], ["--force"]):
        subprocess.run([root / "scripts" / "forge", "build", "--quiet", *force], cwd=root, check=True)
        # `forge inspect` leaves artefacts without bytecode behind that `forge build` takes for current.
        if all("bytecode" in _artefact(artefacts, contract) for contract in CONTRACTS):
            break
    return artefacts


def _artefact(artefacts: Path, contract: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((artefacts / f"{contract}.sol" / f"{contract}.json").read_text())
    return content


def exported(artefacts: Path, contract: str) -> str:
    """The text of one ABI file: one entry a line, so that a change reads well in a diff."""
    entries: list[Any] = []
    for piece in PIECES.get(contract, (contract,)):
        constructed = any(entry["type"] == "constructor" for entry in entries)
        for entry in _artefact(artefacts, piece)["abi"]:
            if entry not in entries and not (constructed and entry["type"] == "constructor"):
                entries.append(entry)
    return "[\n" + ",\n".join(json.dumps(entry, sort_keys=True) for entry in entries) + "\n]\n"


def main() -> int:
    artefacts = compile_contracts()
    TARGET.mkdir(exist_ok=True)
    stale = []
    for contract in CONTRACTS:
        text, path = exported(artefacts, contract), TARGET / f"{contract}.json"
        if not path.exists() or path.read_text() != text:
            stale.append(contract)
            if "--check" not in sys.argv:
                path.write_text(text)
    print(f"export_abi: {', '.join(stale) or 'nothing'} {'out of date' if '--check' in sys.argv else 'written'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
