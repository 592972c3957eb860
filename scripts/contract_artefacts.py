"""Write what the contracts compile to into ``nexus_chain/chain/artefacts``: ABI, creation code, deployed size.

    python -m scripts.contract_artefacts             compile with forge and write
    python -m scripts.contract_artefacts --if-stale  the same, but only where sources or settings have changed
    python -m scripts.contract_artefacts --check     write nothing; exit 1 when a file is not current

A program that deploys or calls the contracts reads these files, so it needs no compiler. ``compiled.json`` holds a
hash of the sources and of everything else that decides what they compile to.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from nexus_chain.chain.interfaces import CONTRACTS, PIECES

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "nexus_chain" / "chain" / "artefacts"
#: What of foundry.toml decides the bytecode.
_SETTINGS = ("evm_version", "optimizer", "optimizer_runs", "remappings")


def compile_contracts(root: Path = ROOT) -> Path:
    """Run forge on the contracts (quick when nothing changed); returns the folder of its artefacts."""
    artefacts = root / "build" / "forge"
    for force in ([], ["--force"]):
        # Forge's tests take five times as long to compile, and nothing here needs them.
        subprocess.run([root / "scripts" / "forge", "build", "contracts", *force], cwd=root, check=True)
        # `forge inspect` leaves artefacts without bytecode behind that `forge build` takes for current.
        if all("bytecode" in _compiled(artefacts, contract) for contract in CONTRACTS):
            break
    return artefacts


def current_texts(artefacts: Path, root: Path = ROOT) -> dict[str, str]:
    """The text of each shipped file, by its name, from forge's folder ``artefacts``."""
    texts = {f"{contract}.json": artefact_text(artefacts, contract) for contract in CONTRACTS}
    return texts | {"compiled.json": json.dumps(compiled_from(root), indent=2) + "\n"}


def artefact_text(artefacts: Path, contract: str) -> str:
    """One contract's file: one ABI entry a line, so that a change reads well in a diff."""
    compiled = _compiled(artefacts, contract)
    entries = ",\n".join(json.dumps(entry, sort_keys=True) for entry in _abi(artefacts, contract))
    size = len(compiled["deployedBytecode"]["object"].removeprefix("0x")) // 2
    code = compiled["bytecode"]["object"]
    return f'{{\n"abi": [\n{entries}\n],\n"deployed_size": {size},\n"bytecode": "{code}"\n}}\n'


def compiled_from(root: Path = ROOT) -> dict[str, str]:
    """The compiler and a SHA-256 (hex) over sources, library versions and settings."""
    pins = json.loads((root / "package.json").read_text())["dependencies"]
    profile = tomllib.loads((root / "foundry.toml").read_text())["profile"]["default"]
    settings = {name: profile[name] for name in _SETTINGS}
    digest = hashlib.sha256(json.dumps([pins["solc"], pins["@openzeppelin/contracts"], settings]).encode())
    for path in sorted((root / "contracts").rglob("*.sol")):
        digest.update(f"\n{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return {"compiler": f"solc {pins['solc']}", "sources_sha256": digest.hexdigest()}


def is_current(root: Path = ROOT) -> bool:
    """Whether the shipped files were made from these sources; compiles nothing."""
    stamp = root / TARGET.relative_to(ROOT) / "compiled.json"
    return stamp.exists() and json.loads(stamp.read_text()) == compiled_from(root)


def _compiled(artefacts: Path, contract: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((artefacts / f"{contract}.sol" / f"{contract}.json").read_text())
    return content


def _abi(artefacts: Path, contract: str) -> list[Any]:
    entries: list[Any] = []
    for piece in PIECES.get(contract, (contract,)):
        constructed = any(entry["type"] == "constructor" for entry in entries)
        for entry in _compiled(artefacts, piece)["abi"]:
            if entry not in entries and not (constructed and entry["type"] == "constructor"):
                entries.append(entry)
    return entries


def main(options: list[str]) -> int:
    """Do what the options say; returns the exit status."""
    if "--if-stale" in options and is_current():
        return 0
    print("contract_artefacts: compiling the contracts", file=sys.stderr, flush=True)
    texts = current_texts(compile_contracts())
    stale = [name for name, text in texts.items() if _read(TARGET / name) != text]
    if "--check" not in options:
        for name in stale:
            (TARGET / name).write_text(texts[name])
    print(f"contract_artefacts: {', '.join(stale) or 'nothing'} {'stale' if '--check' in options else 'written'}")
    return 1 if stale and "--check" in options else 0


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
