"""Compile the engine's kernels to WebAssembly: ``node/web/src/engine/engine.wasm``, which the page verifies with.

    python -m scripts.web_engine             compile and write
    python -m scripts.web_engine --if-stale  the same, but only where sources, flags or the compiler have changed
    python -m scripts.web_engine --check     write nothing; exit 1 when the file is not current

The compiler is the pinned ``ziglang`` package of the extra ``web``, which holds clang and a C library for WebAssembly.
The sources are the ones of the native kernels, with one thread, and what hashes weights (``node/web/kernels``).
``engine.json`` beside the file holds a hash of what it was made from. So whoever builds the page needs no compiler.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from nexus_chain.engine.native_library import KERNEL_FLAGS

ROOT = Path(__file__).resolve().parent.parent
KERNELS = Path("nexus_chain") / "engine" / "native"
HASHING = Path("node") / "web" / "kernels"
TARGET = Path("node") / "web" / "src" / "engine" / "engine.wasm"
STAMP = TARGET.with_suffix(".json")
_EXPORTS = ("nexus_run", "nexus_layout", "nexus_tree_root", "aligned_alloc", "free")
#: A reactor has no main; the stack holds the kernels' tiles, which native threads have 8 MiB for.
_FLAGS = (
    *KERNEL_FLAGS,
    "-target",
    "wasm32-wasi",
    "-mexec-model=reactor",
    "-msimd128",
    "-Wno-unknown-pragmas",
    "-Wl,-z,stack-size=1048576",
    "-Wl,--strip-all",
    *(f"-Wl,--export={name}" for name in _EXPORTS),
)


def compiled_from(root: Path = ROOT) -> dict[str, str]:
    """The compiler, and a SHA-256 (hex) over its flags and the sources."""
    compiler = _pinned_compiler(root)
    digest = hashlib.sha256(json.dumps([compiler, _FLAGS]).encode())
    for folder in (KERNELS, HASHING):
        for path in sorted((root / folder).iterdir()):
            if path.suffix in (".c", ".h"):
                digest.update(f"\n{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return {"compiler": compiler, "sources_sha256": digest.hexdigest()}


def stamp_of(wasm: bytes, root: Path = ROOT) -> dict[str, str]:
    """What ``engine.json`` says of a compiled file."""
    return {**compiled_from(root), "wasm_sha256": hashlib.sha256(wasm).hexdigest()}


def is_current(root: Path = ROOT) -> bool:
    """Whether the file was made from these sources, and is the one that was made; compiles nothing."""
    wasm, stamp = root / TARGET, root / STAMP
    if not wasm.is_file() or not stamp.is_file():
        return False
    return bool(json.loads(stamp.read_text()) == stamp_of(wasm.read_bytes(), root))


def compile_engine(root: Path = ROOT) -> bytes:
    """The module. Exits with advice where the compiler is not installed or is another one."""
    if importlib.util.find_spec("ziglang") is None:
        raise SystemExit("web_engine: there is no ziglang here; run: python -m pip install -e '.[web]'")
    command = [sys.executable, "-m", "ziglang"]
    found = (
        "ziglang==" + subprocess.run([*command, "version"], check=True, capture_output=True, text=True).stdout.strip()
    )
    if found != _pinned_compiler(root):
        raise SystemExit(f"web_engine: {found} is not the pinned one; run: python -m pip install -e '.[web]'")
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / TARGET.name
        # By relative paths, so that none of this machine can get into the file.
        sources = (str(KERNELS / "program.c"), str(HASHING / "leaves.c"))
        subprocess.run([*command, "cc", *_FLAGS, *sources, "-o", str(built)], cwd=root, check=True)
        return built.read_bytes()


def _pinned_compiler(root: Path) -> str:
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return next(str(pin) for pin in extras["web"] if pin.startswith("ziglang=="))


def main(options: list[str]) -> int:
    """Do what the options say; returns the exit status."""
    if "--if-stale" in options and is_current():
        return 0
    print("web_engine: compiling the kernels to WebAssembly", file=sys.stderr, flush=True)
    wasm = compile_engine()
    stamp = json.dumps(stamp_of(wasm), indent=2) + "\n"
    kept = (ROOT / TARGET).read_bytes() if (ROOT / TARGET).is_file() else b""
    stale = kept != wasm or not is_current()
    if stale and "--check" not in options:
        (ROOT / TARGET).write_bytes(wasm)
        (ROOT / STAMP).write_text(stamp)
    print(f"web_engine: {TARGET.name if stale else 'nothing'} {'stale' if '--check' in options else 'written'}")
    return 1 if stale and "--check" in options else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
