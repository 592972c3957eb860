"""``nexus up`` as a newcomer has it: real Anvil, nodes and gateway, killed, stopped and started again.

The programs run as a user runs them. The shipped model needs no download.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from nexus_chain.chain.local import free_port
from nexus_chain.workflows.local_network.leftovers import end_leftovers
from nexus_chain.workflows.local_network.plan import CHAIN, GATEWAY, Places
from nexus_chain.workflows.local_network.process_marks import ProcessMark
from nexus_chain.workflows.local_network.state import NetworkState
from nexus_chain.workflows.observer import SILENT
from tests.support.waiting import WAIT, wait_until

pytestmark = pytest.mark.timeout(1_200)

ROOT = Path(__file__).resolve().parents[2]
MODEL = "python-stdlib"
NODES = 2


@dataclass
class Local:
    """A home and the command on it."""

    home: Path
    port: int
    chain_port: int
    keeper: subprocess.Popen[str] | None = None

    @property
    def places(self) -> Places:
        return Places(self.home)

    @property
    def state(self) -> NetworkState:
        return NetworkState.load(self.places.state)

    @property
    def up_words(self) -> list[str]:
        ports = ["--port", str(self.port), "--chain-port", str(self.chain_port)]
        return ["up", "--model", MODEL, "--copies", "1", *ports]

    def command(self, *words: str, home: Path | None = None) -> list[str]:
        return [sys.executable, "-m", "node.cli", "--home", str(home or self.home), *words]

    def nexus(self, *words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        command = self.command(*words, home=home)
        return subprocess.run(
            command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=2 * WAIT, check=False
        )

    def json(self, *words: str, home: Path | None = None) -> Any:
        done = self.nexus(*words, "--json", home=home)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def up(self) -> list[str]:
        """Start it in the foreground; what it prints once it serves."""
        log = (self.home.parent / "stderr").open("a")
        self.keeper = subprocess.Popen(
            self.command(*self.up_words), cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, stderr=log, text=True
        )
        log.close()
        assert self.keeper.stdout is not None
        lines = [self.keeper.stdout.readline().rstrip("\n") for _ in range(8)]
        assert lines[0], (self.home.parent / "stderr").read_text()
        return lines

    def end(self, number: signal.Signals) -> int:
        """Signal the process in the foreground; its exit code."""
        assert self.keeper is not None
        self.keeper.send_signal(number)
        self.keeper.communicate(timeout=WAIT)
        code, self.keeper = self.keeper.returncode, None
        return code

    def ask(self) -> dict[str, Any]:
        """An answer by the command line."""
        answer: dict[str, Any] = self.json("ask", "--yes", "import os\n", "--max-tokens", "8", home=self.places.root)
        return answer

    def complete(self) -> requests.Response:
        """The same through the gateway."""
        key = self.places.api_key.read_text().strip()
        body = {"model": MODEL, "prompt": "import os\n", "max_tokens": 8, "temperature": 0}
        return requests.post(
            f"http://127.0.0.1:{self.port}/v1/completions", json=body, headers={"Authorization": f"Bearer {key}"},
            timeout=WAIT,
        )  # fmt: skip

    def deposits(self) -> dict[str, Any]:
        """Where a wallet opens credit, as the page is told."""
        found: dict[str, Any] = requests.get(f"http://127.0.0.1:{self.port}/page/network", timeout=WAIT).json()
        assert found["sign_in"]
        assert found["rpc_urls"] == [f"http://127.0.0.1:{self.chain_port}"]
        return dict(found["deposits"])

    def completed(self) -> str:
        found = self.complete()
        assert found.status_code == 200, found.text
        return str(found.json()["choices"][0]["text"])

    def kill(self, name: str) -> None:
        """A power cut of one process; returns once another one of that name runs."""
        before = self.state.children[name]
        before.ask_to_end(signal.SIGKILL)
        wait_until(lambda: self.state.children.get(name, before) != before and self.state.children[name].is_alive)

    def sessions(self) -> set[str]:
        return {row["session"] for row in self.json("session", "list", home=self.places.root)["sessions"]}


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
    return own | {"PYTHONPATH": str(ROOT), "PATH": f"{ROOT / 'node_modules' / '.bin'}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    found = Local(tmp_path_factory.mktemp("up") / "home", free_port(), free_port())
    yield found
    if found.keeper is not None:
        found.keeper.kill()
        found.keeper.communicate()
    end_leftovers(found.places, found.state, SILENT)


def alive(marks: dict[str, ProcessMark]) -> list[str]:
    return [name for name, mark in marks.items() if mark.is_alive]


def test_a_network_stays_up_and_is_the_same_after_its_end(local: Local) -> None:
    lines = local.up()
    key = local.places.api_key.read_text().strip()
    address = f"http://127.0.0.1:{local.port}"
    shown = [f"address  {address}", f"page     {address}/app/", f"API key  {key}", f"models   {MODEL}"]
    assert lines[:4] == shown
    assert [line.split()[0].split("=")[0] for line in lines[5:]] == ["curl", "python", "OLLAMA_HOST"]
    first = dict(local.state.children)
    assert list(first) == [CHAIN, *[name for name in first if name.startswith("node-")], GATEWAY]
    assert len(first) == NODES + 2
    assert local.json("status")["serves"]

    # What was printed works, by both ways, and both come to the same text.
    text = local.completed()
    deposits = local.deposits()
    answer = local.ask()
    assert answer["text"] == text
    # Nothing of it shows in a log.
    assert all(key not in path.read_text() for path in local.places.log("x").parent.iterdir())

    again = local.nexus(*local.up_words)
    assert again.returncode == 1
    assert "is up already" in again.stderr

    # A node that dies comes back, and so does the chain, with everything that it knew.
    sessions = local.sessions()
    node = next(name for name in first if name.startswith("node-"))
    local.kill(node)
    wait_until(lambda: local.complete().ok, pause=0.5)
    local.kill(CHAIN)
    wait_until(lambda: local.nexus("models", home=local.places.root).returncode == 0, pause=0.5)
    assert local.sessions() == sessions
    assert local.completed() == text
    version = local.state.published[MODEL].version

    before = dict(local.state.children)
    assert local.json("down") == {"stopped": True}
    assert local.keeper is not None
    local.keeper.communicate(timeout=WAIT)
    assert local.keeper.returncode == 0
    local.keeper = None
    assert alive({**first, **before}) == []
    assert local.nexus("status").returncode == 1
    assert local.json("down") == {"stopped": False}

    # Up again: the same chain, version, sessions and key. Ctrl-C ends all of it, and that is no failure.
    assert local.up()[2] == lines[2]
    assert local.state.published[MODEL].version == version
    assert sessions <= local.sessions()
    assert local.completed() == text
    assert local.deposits() == deposits
    second = dict(local.state.children)
    assert local.end(signal.SIGINT) == 0
    assert alive(second) == []


def test_what_a_run_that_was_killed_left_behind_is_ended_first(local: Local) -> None:
    found = local.json(*local.up_words, "--detach")
    assert found["gateway"] == f"http://127.0.0.1:{local.port}"
    state = local.state
    assert state.supervisor is not None
    state.supervisor.ask_to_end(signal.SIGKILL)
    wait_until(lambda: state.supervisor is not None and not state.supervisor.is_alive)
    assert len(alive(dict(state.children))) == NODES + 2
    assert not json.loads(local.nexus("status", "--json").stdout)["serves"]
    local.up()
    assert alive(dict(state.children)) == []
    assert local.completed()
    assert "left over from a run that broke off" in (local.home.parent / "stderr").read_text()
    assert local.end(signal.SIGTERM) == 0
    assert alive(dict(local.state.children)) == []


def test_ports_and_tools_are_looked_at_before_anything_starts(local: Local, tmp_path: Path) -> None:
    other = Local(tmp_path / "home", local.port, local.chain_port)
    with socket.create_server(("127.0.0.1", other.port)):
        refused = other.nexus(*other.up_words)
    assert refused.returncode == 1
    assert f"port {other.port}, where the gateway would listen, is in use" in refused.stderr
    assert "Give --port " in refused.stderr
    assert other.state.children == {}
    detached = other.nexus("up", "--model", "gpt-5", "--detach")
    assert detached.returncode == 1
    assert "there is no model 'gpt-5' in the catalogue" in detached.stderr
