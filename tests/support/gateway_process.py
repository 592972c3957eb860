"""``nexus-gateway`` as its operator starts it, in front of a live network."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.live_network import ROOT, LiveNetwork

PASSWORD = "open sesame"
CREDIT = 10**15


@dataclass
class GatewayProcess:
    """``key_file``: an API key of the operator's account. ``log``: what it said."""

    url: str
    home: Path
    key_file: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def key(self) -> str:
        return self.key_file.read_text().strip()

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


def user_flags(live: LiveNetwork, home: Path) -> list[str]:
    """Settings of a user of the network, who has a home and a password in it."""
    return [
        "--home", str(home), "--password-file", str(home / "password"), "--rpc", live.net.chain.rpc_url,
        "--deployment", str(live.net.deployment_path), "--model-dir", str(live.folder / "model"),
    ]  # fmt: skip


def nexus(live: LiveNetwork, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One invocation of ``nexus`` by that user."""
    command = [sys.executable, "-m", "node.cli", *user_flags(live, home), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@contextmanager
def gateway_process(live: LiveNetwork, home: Path, *options: str) -> Iterator[GatewayProcess]:
    """A gateway with a home of its own, on a free port; ended with the context."""
    home.mkdir(exist_ok=True)
    (home / "password").write_text(PASSWORD)
    log, key = home / "gateway.log", home / "operator.key"
    command = [
        sys.executable, "-m", "node.gateway.main", *user_flags(live, home), "--listen", "127.0.0.1:0",
        "--model", f"tiny={live.version.hex()}", "--operator-key-file", str(key),
        "--operator-credit", str(CREDIT), *options,
    ]  # fmt: skip
    with (
        log.open("wb") as written,
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}) as made,
    ):
        assert made.stderr is not None
        said = b""
        for line in made.stderr:
            said += line
            if found := re.search(rb"at (http://\S+)", line):
                break
        else:
            raise AssertionError(said.decode())
        copying = threading.Thread(target=lambda: written.write(made.stderr.read()), daemon=True)  # type: ignore[union-attr]
        copying.start()
        try:
            yield GatewayProcess(found[1].decode(), home, key, log, made)
        finally:
            if made.poll() is None:
                made.kill()
            copying.join(30)
