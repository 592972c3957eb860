"""What the page costs its reader: Lighthouse's marks, violations that axe-core sees, bytes of script, and delays.

A local network serves the shipped model, as its users see it. Lighthouse (its throttled phone) marks each page;
Chromium shows how long the page takes to verify an answer of 64 tokens by itself, how long a token that the gateway
has sent waits for the screen, and the longest frame of a stream of 10 000 tokens. Lighthouse is installed into
``build/lighthouse`` the first time. Writes ``build/bench/web.json``: ``lighthouse_performance`` and
``lighthouse_accessibility`` (the worst page's, of 100), ``pages`` (each page's), ``axe_violations``,
``script_gzip_bytes`` (all scripts of the page, without the engine), ``engine_gzip_bytes``, ``verify_64_tokens_s``,
``first_token_ms`` and ``longest_frame_ms``, ``bars``.

    python -m scripts.bench.web
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nexus_chain.errors import NexusError
from scripts.bench.record import FOLDER, ROOT, write_record
from scripts.runs.demo_network import DemoError
from scripts.runs.network_up import NetworkUp, network_up

WEB = ROOT / "node" / "web"
DIST = WEB / "dist"
LIGHTHOUSE = ROOT / "build" / "lighthouse"
LIGHTHOUSE_VERSION = "12.2.3"
LIGHTHOUSE_TRIES = 3
"""It trips over traces of this Chromium now and then (``frame_sequence``), and says nothing of the page then."""
MODEL = "python-stdlib"
PAGES = ("chat", "explorer", "operate", "audit", "learn", "market")
CATEGORIES = ("performance", "accessibility")
CHROMIUM = os.environ.get("NEXUS_CHROMIUM", "/usr/bin/chromium")
REPORT = FOLDER / "web.json"
BARS = {
    "lighthouse_performance": 95,
    "lighthouse_accessibility": 95,
    "axe_violations": 0,
    "script_gzip_bytes": 300 * 1024,
    "verify_64_tokens_s": 5.0,
    "first_token_ms": 50.0,
    "longest_frame_ms": 50.0,
}


def main() -> int:
    """Measure and write; returns 1 where something cannot be measured."""
    try:
        program = lighthouse_program()
        with tempfile.TemporaryDirectory() as folder, network_up(Path(folder), [MODEL]) as network:
            marks = {page: lighthouse_marks(program, f"{network.address}/app/{page}") for page in PAGES}
            seen = measured_by_browser(network, Path(folder) / "seen.json")
    except (DemoError, NexusError, OSError, subprocess.CalledProcessError) as error:
        print(f"bench-web failed: {error}", file=sys.stderr)
        return 1
    worst = {f"lighthouse_{one}": min(found[one] for found in marks.values()) for one in CATEGORIES}
    sizes = {"script_gzip_bytes": zipped(DIST.rglob("*.js")), "engine_gzip_bytes": zipped(DIST.rglob("*.wasm"))}
    print(json.dumps(write_record(REPORT, {**worst, **seen, **sizes, "pages": marks, "bars": BARS}), indent=1))
    return 0


def zipped(files: Iterable[Path]) -> int:
    """Bytes of the files as they travel."""
    return sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in files)


def lighthouse_program() -> Path:
    """Lighthouse, installed once. Raises CalledProcessError."""
    program = LIGHTHOUSE / "node_modules" / ".bin" / "lighthouse"
    if not program.exists():
        LIGHTHOUSE.mkdir(parents=True, exist_ok=True)
        (LIGHTHOUSE / "package.json").write_text('{"private": true}\n')
        words = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", f"lighthouse@{LIGHTHOUSE_VERSION}"]
        subprocess.run(words, cwd=LIGHTHOUSE, check=True, stdout=subprocess.DEVNULL)
    return program


def lighthouse_marks(program: Path, address: str) -> dict[str, int]:
    """A page's marks by category, of 100. Raises DemoError."""
    chosen = f"--only-categories={','.join(CATEGORIES)}"
    flags = "--chrome-flags=--headless=new --no-sandbox --disable-dev-shm-usage"
    for _ in range(LIGHTHOUSE_TRIES):
        done = subprocess.run(
            [program, address, "--output=json", "--quiet", chosen, flags],
            env={**os.environ, "CHROME_PATH": CHROMIUM}, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)["categories"]
            return {one: round(100 * found[one]["score"]) for one in CATEGORIES}
        why = done.stderr or json.loads(done.stdout or "{}").get("runtimeError")
    raise DemoError(f"Lighthouse gave up on {address}, {LIGHTHOUSE_TRIES} times: {why}")


def measured_by_browser(network: NetworkUp, into: Path) -> dict[str, Any]:
    """What node/web/tests/bench measures in Chromium. Raises CalledProcessError."""
    said = {"address": network.address, "key": network.key, "rpc": network.rpc}
    where = json.dumps({**said, "home": str(network.home), "folder": str(network.folder)})
    environment = {**os.environ, "NEXUS_PAGE_NETWORK": where, "NEXUS_WEB_FIGURES": str(into)}
    subprocess.run(
        ["npx", "playwright", "test", "--config", "playwright.bench.config.ts"], cwd=WEB, env=environment, check=True
    )
    found: dict[str, Any] = json.loads(into.read_text())
    return found


if __name__ == "__main__":
    sys.exit(main())
