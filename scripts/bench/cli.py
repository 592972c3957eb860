"""How soon a command answers: real processes of ``nexus`` and ``nexus-node`` against a local chain with two nodes.

A local chain, the published model, two ``nexus-node`` processes, and a user with an open session. Every command runs
``--runs`` times, each time as a process of its own; the commands take turns. Figures are seconds from its start until
its end, of ``ask`` until the first of its text.
Writes ``build/bench/cli.json``: ``commands.<command>.{median,max}_seconds``, ``runs``, ``ask_first_token`` likewise.

    python -m scripts.bench.cli [--runs 9]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict

from nexus_chain.chain.local import anvil
from nexus_chain.errors import NexusError
from scripts.bench.record import write_record
from scripts.bench.serving import FOLDER, PROMPT, publish, start
from scripts.runs.demo_network import ROOT, DemoError, nexus, running

REPORT = ROOT / "build" / "bench" / "cli.json"
MODULES = {"nexus": "node.cli", "nexus-node": "node.daemon"}
COMMANDS = (
    "nexus --help",
    "nexus --version",
    "nexus-node --help",
    "nexus-node --version",
    "nexus models",
    "nexus nodes",
    "nexus nodes --offline",
    "nexus session list",
    "nexus wallet show",
    "nexus withdraw",
    "nexus-node status",
)
ASK = ("nexus", "ask", PROMPT, "--max-tokens", "8")


def main() -> int:
    """Run the bench; returns 1 where the network could not be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="processes of each command")
    runs = parser.parse_args().runs
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        with anvil() as chain:
            version, deployment, blocks = publish(chain)
            nodes = start(chain, deployment, version, blocks)
            with running(nodes):
                for node in nodes:
                    node.wait_until_serving()
                nexus("session", "open", "--tokens", str(200 * runs))
                seconds = measure(runs, str(nodes[0].folder))
    except (NexusError, DemoError) as error:
        print(f"bench failed: {error}", file=sys.stderr)
        return 1
    figures = {command: summary(taken) for command, taken in seconds.items()}
    first = figures.pop("ask")
    write_record(REPORT, {"runs": runs, "commands": figures, "ask_first_token": first})
    for command, found in {**figures, "nexus ask, first token": first}.items():
        print(f"{command:24} {found['median_seconds']:.2f} s, at most {found['max_seconds']:.2f} s")
    return 0


def measure(runs: int, node_folder: str) -> dict[str, list[float]]:
    """Seconds of every run, by command; one run that fills the disk's cache is not counted."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for number in range(runs + 1):
        for command in COMMANDS:
            program, *words = command.split()
            data = ["--data", node_folder] if words == ["status"] else []
            taken = run_time(program, *data, *words)
            if number:
                seconds[command].append(taken)
        taken = first_text_time(*ASK)
        if number:
            seconds["ask"].append(taken)
    return dict(seconds)


def process(program: str, *words: str) -> list[str]:
    """The command line of a program of this tree."""
    return [sys.executable, "-m", MODULES[program], *words]


def run_time(program: str, *words: str) -> float:
    """Seconds that a command takes. Raises DemoError where it fails."""
    began = time.perf_counter()
    done = subprocess.run(process(program, *words), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    taken = time.perf_counter() - began
    if done.returncode:
        raise DemoError(f"{program} {' '.join(words)} failed: {done.stderr.strip()[-500:]}")
    return taken


def first_text_time(program: str, *words: str) -> float:
    """Seconds until a command writes its first byte. Raises DemoError where it fails."""
    began = time.perf_counter()
    with subprocess.Popen(process(program, *words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        if asked.stdout is None:
            raise DemoError("no output is to be had")
        asked.stdout.read(1)
        taken = time.perf_counter() - began
        _, said = asked.communicate(timeout=120)
    if asked.returncode:
        raise DemoError(f"{program} {words[0]} failed: {said.decode(errors='replace').strip()[-500:]}")
    return taken


def summary(taken: list[float]) -> dict[str, float]:
    """Median and largest."""
    return {"median_seconds": round(statistics.median(taken), 3), "max_seconds": round(max(taken), 3)}


if __name__ == "__main__":
    sys.exit(main())
