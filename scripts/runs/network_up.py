"""``nexus up`` for scripts: a local network in a folder of its own, on ports of its own, ended with the script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_chain.chain.local import free_port
from scripts.runs.demo_network import ROOT, DemoError

START_SECONDS = 900


@dataclass(frozen=True)
class NetworkUp:
    """A network that serves. ``address``: of its gateway. ``home``: the user's, for ``nexus --home``."""

    folder: Path
    address: str
    key: str
    rpc: str
    home: Path

    def nexus(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One ``nexus`` command of the network's own user, to its end."""
        own = ["--home", str(self.home), "--rpc", self.rpc]
        return run_nexus_process(*own, *words, environment={"NEXUS_API_KEY": self.key})

    def processes(self) -> dict[str, int]:
        """Process ids of what runs, by name."""
        said = json.loads(run_nexus_process("--home", str(self.folder), "status", "--json").stdout)
        return {one["name"]: one["process"] for one in said["processes"] if one["running"]}

    def wait_until_whole(self) -> None:
        """Wait until everything runs that should. Raises DemoError."""
        until = time.monotonic() + START_SECONDS
        while run_nexus_process("--home", str(self.folder), "status").returncode:
            if time.monotonic() > until:
                raise DemoError("the network did not come back whole")
            time.sleep(1)

    def address_of(self, node: str) -> str:
        """The wallet of the node of that name, in lower case."""
        wallet: dict[str, Any] = json.loads((self.home / "nodes" / node / "wallet.json").read_text())
        return "0x" + str(wallet["address"]).lower().removeprefix("0x")


def run_nexus_process(*words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """``nexus`` as a process of its own."""
    command = [sys.executable, "-m", "node.cli", *words]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True,
        check=False, timeout=START_SECONDS,
    )  # fmt: skip


@contextmanager
def network_up(folder: Path, models: Sequence[str], *words: str) -> Iterator[NetworkUp]:
    """A network that serves ``models``, started in ``folder`` or gone on with there. Raises DemoError."""
    asked = [word for model in models for word in ("--model", model)]
    ports = ["--port", str(free_port()), "--chain-port", str(free_port())]
    began = run_nexus_process("--home", str(folder), "up", "--detach", "--json", *asked, *ports, *words)
    try:
        if began.returncode:
            raise DemoError(f"nexus up failed: {began.stderr.strip()[-800:]}")
        said = json.loads(began.stdout)
        key = Path(said["api_key_file"]).read_text().strip()
        yield NetworkUp(folder, said["gateway"], key, said["rpc"], Path(said["home"]))
    finally:
        run_nexus_process("--home", str(folder), "down")
