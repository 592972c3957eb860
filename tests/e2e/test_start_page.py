"""docs/start.md, "Do it by hand": every line is typed into one shell, as a newcomer would, against real processes.

Only what would meet other programs of this machine is another: ``/tmp/nexus`` and ``/tmp/password``, the nodes' ports
and the chain's. VERSION, MODEL and FILE are filled from what earlier lines printed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.chain.connection import connect
from nexus_chain.chain.local import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "start.md"
#: Seconds that one line may take on a busy machine; no result depends on it.
PATIENCE = 300.0
CHALLENGE_SECONDS = 60


class Shell:
    """One bash; lines are typed into it, and what they and their background processes print is read."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.printed = ""
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, line: str) -> str:
        """Type ``line``; returns what was printed by the time it ended. It has to end well."""
        said = self._until(r"^END OF LINE (\d+)$", f"{line}\necho END OF LINE $?\n")
        assert said.endswith("END OF LINE 0\n"), f"{line}\n{said}"
        return said

    def wait_for(self, pattern: str) -> None:
        """Read on until a line with ``pattern`` has been printed."""
        self._until(pattern, "")

    def stop(self) -> None:
        """End everything that was started, kindly at first. What it prints ends with the last of it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            self._reader.join(30)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def _until(self, pattern: str, typed: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(typed)
        self.process.stdin.flush()
        said = ""
        while not re.search(pattern, said, re.MULTILINE):
            try:
                said += self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} in\n{self.printed}{said}") from None
        self.printed += said
        return said

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


def section() -> str:
    return PAGE.read_text().split("## Do it by hand\n")[1].split("\n## ")[0]


def typed_lines() -> list[str]:
    """The lines of the section's blocks, each with those that continue it."""
    blocks = re.findall(r"^```\n(.*?)^```", section(), re.MULTILINE | re.DOTALL)
    return "".join(blocks).replace("\\\n", "").splitlines()


def test_six_commands_lead_to_an_answer() -> None:
    lines = typed_lines()
    asked = next(at for at, line in enumerate(lines) if line.startswith("nexus ask"))
    programs = [line.split()[0] for line in lines[: asked + 1]]
    assert programs[-6:] == ["anvil", "nexus", "nexus", "nexus-node", "nexus-node", "nexus"]
    assert set(programs[:-6]) == {".", "echo"}  # the shell is set up


@pytest.fixture
def shell() -> Iterator[tuple[Shell, str]]:
    """A shell without this process's settings, and the address of the chain to be."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEXUS_", "ETH_"))}
    address = f"http://127.0.0.1:{free_port()}"
    opened = Shell({**kept, "NEXUS_RPC": address})
    try:
        yield opened, address
    finally:
        opened.stop()


def test_the_page_types_literally(shell: tuple[Shell, str], tmp_path: Path) -> None:
    bash, address = shell
    own = {
        "/tmp/nexus": str(tmp_path / "nexus"),
        "/tmp/password": str(tmp_path / "password"),
        "anvil --silent": f"anvil --silent --port {address.rpartition(':')[2]}",
    }
    ports = {f"127.0.0.1:{port}": f"127.0.0.1:{free_port()}" for port in (7070, 7071)}
    filled: dict[str, str] = {}
    said = ""
    for page_line in typed_lines():
        line = replaced(page_line, {**own, **filled})
        if line.startswith("nexus-node"):
            # What the page shows is what `publish` has printed.
            assert " ".join(line.removesuffix(" --yes &").split()) in said.replace(f" --rpc {address}", "")
        if line.startswith("nexus session settle"):  # "after it", says the page
            let_pass(address, CHALLENGE_SECONDS + 1)
        said = bash.type(replaced(line, ports))
        if line.startswith("nexus model publish"):
            filled |= version_in(said)
            published = said
        if line.startswith("nexus-node"):
            bash.wait_for("serves layers")
            said = published
        if line.startswith("nexus ask"):
            filled["FILE"] = Path(str(re.search(r"answer kept in (\S+);", said)[1])).name  # type: ignore[index]
            assert re.search(r"^\d+ tokens, .* in session 0x", said, re.MULTILINE), said
            assert "No session is open. One of 60 minutes locks" in said
    assert len(re.findall("Development chain: made the wallet", bash.printed)) == 3
    assert (
        len(re.findall(r"registered 0x\w+ at 127.0.0.1:\d+ with a stake of 100000000000000000 wei", bash.printed)) == 2
    )
    assert "back to you" in said


def replaced(text: str, words: dict[str, str]) -> str:
    for word, other in words.items():
        text = text.replace(word, other)
    return text


def version_in(said: str) -> dict[str, str]:
    """The placeholders that `publish` fills."""
    found = re.search(r"^0x([0-9a-f]{64})$", said, re.MULTILINE)
    assert found is not None, said
    return {"VERSION": "0x" + found[1], "MODEL": found[1][:16]}


def let_pass(address: str, seconds: int) -> None:
    """Let time pass on the chain."""
    connection = connect(address)
    connection.request("evm_increaseTime", seconds)
    connection.request("evm_mine")
