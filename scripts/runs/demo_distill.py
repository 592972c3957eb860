"""A chat model learns from teachers: asked, judged, trained, published with a certificate, served, audited.

``nexus up`` serves SmolLM2-135M-Instruct, which answers few sums of two numbers right. It becomes a teacher itself,
through the gateway, beside three local servers: two oracles that err at known rates, and a liar that answers a fifth
of the problems wrong, the same way each time, and tells the judge to look away. ``nexus distill run`` asks them all,
keeps what the judge proves, trains a LoRA adapter, and publishes the child. Two nodes serve it, and ``nexus audit``
checks its certificate. Writes ``build/demo-distill.json``; exit code 1 and one line where anything is not as it should.

    python -m scripts.runs.demo_distill [--training 1500] [--held-out 300]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from nexus_chain.errors import NexusError
from nexus_chain.workflows.local_network.plan import NodePlan, Places, node_words
from nexus_chain.workflows.local_network.state import NetworkState
from scripts.bench.record import write_record
from scripts.runs.demo_network import ROOT, DemoError
from scripts.runs.network_up import NetworkUp, network_up
from scripts.runs.sum_teachers import LocalTeacher, sum_teachers

FOLDER = ROOT / "build" / "demo-distill"
REPORT = ROOT / "build" / "demo-distill.json"
MODEL, CHILD, VERSION = "smollm2-135m-instruct", "smollm2-sums", "1.1.0"
QUESTION = "State the final answer to the following arithmetic problem: 47 + 38 ="
LONGEST_RUN = 4 * 3_600
"""Seconds: a bound for what hangs, and none for a slow machine."""
SERVE_SECONDS = 120


def main() -> int:
    """Run the demo; returns 1 where a step fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", type=int, default=1_500, help="problems that the teachers answer")
    parser.add_argument("--held-out", type=int, default=300, help="problems that measure parent and child")
    wanted = parser.parse_args()
    began = time.monotonic()
    try:
        with network_up(FOLDER, [MODEL], "--copies", "1") as network, sum_teachers() as teachers:
            print(f"nexus up serves {MODEL} after {time.monotonic() - began:.0f} s", flush=True)
            learned = learn(network, teachers, wanted.training, wanted.held_out)
            show(learned)
            with served(network, learned):
                answer = ask(network, learned["version"])
            audit = audited(network, learned["certificate"])
    except (DemoError, NexusError, subprocess.TimeoutExpired) as error:
        print(f"demo-distill failed: {error}", file=sys.stderr)
        return 1
    figures = {**learned, "answer": answer, "audit": audit, "seconds": round(time.monotonic() - began, 1)}
    print(json.dumps(write_record(REPORT, figures), indent=1))
    return 0


def learn(network: NetworkUp, teachers: list[LocalTeacher], training: int, held_out: int) -> dict[str, Any]:
    """``nexus distill run`` against the network; what it says as JSON. Raises DemoError."""
    file = network.folder / "teachers.toml"
    file.write_text("\n".join(teacher.toml() for teacher in teachers))
    parent = state(network).published[MODEL].version
    words = (
        "distill", "run", CHILD,
        "--parent", parent,
        "--checkpoint", str(network.folder / "checkpoints" / MODEL),
        "--version", VERSION,
        "--training", str(training),
        "--held-out", str(held_out),
        "--teachers", str(file),
        "--local", MODEL,
        "--ollama", network.address,
        "--shards", "2",
        "--json",
    )  # fmt: skip
    keys = {teacher.variable: teacher.key for teacher in teachers} | {"OLLAMA_API_KEY": network.key}
    command = [sys.executable, "-m", "node.cli", "--home", str(network.home), "--rpc", network.rpc, *words]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **keys}, stdout=subprocess.PIPE, text=True, timeout=LONGEST_RUN
    )
    if done.returncode:
        raise DemoError("nexus distill run failed; its message is above")
    return dict(json.loads(done.stdout))


def show(learned: dict[str, Any]) -> None:
    """The figures that matter, for people."""
    before, after = learned["accuracy_before"], learned["accuracy_after"]
    print(f"\n  {learned['examples']} proved examples of {learned['problems']} problems")
    for teacher in learned["teachers"]:
        print(f"    {teacher['name']}: {teacher['proved']} proved, {teacher['refuted']} refuted")
    print(f"  held-out problems right: {before:.1%} before, {after:.1%} after ({learned['interval']})")
    print(f"  version {learned['version']}, certificate {learned['certificate']}\n", flush=True)


@contextmanager
def served(network: NetworkUp, learned: dict[str, Any]) -> Iterator[None]:
    """Two nodes serve the child for the block, beside those of ``nexus up``. Raises DemoError."""
    places = Places(network.folder)
    with ExitStack() as stack:
        for number, shard in enumerate(learned["shards"]):
            name = f"node-child-{number}"
            plan = NodePlan(name, learned["version"], shard, places.nodes / name, _free_port())
            words = (*node_words(plan, network.rpc, places, 1), "start", "--yes")
            log = stack.enter_context((network.folder / f"{name}.log").open("w"))
            process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
            stack.callback(_stop, process)
            if not (process.stdout and process.stdout.readline()):
                raise DemoError(f"{name} did not start; see {log.name}")
        yield


def ask(network: NetworkUp, version: str) -> str:
    """What the child answers through its nodes, paid. Raises DemoError."""
    until = time.monotonic() + SERVE_SECONDS
    while True:
        done = network.nexus("ask", QUESTION, "--model", version, "--direct", "--yes", "--max-tokens", "8")
        if done.returncode == 0:
            print(f"  {QUESTION} {done.stdout.strip()}", flush=True)
            return done.stdout.strip()
        if time.monotonic() > until:
            raise DemoError(f"nobody serves the child: {done.stderr.strip()[-500:]}")
        time.sleep(1)


def audited(network: NetworkUp, cid: str) -> dict[str, Any]:
    """What the audit says. Raises DemoError where a step fails."""
    done = network.nexus("audit", cid, "--json")
    report: dict[str, Any] = json.loads(done.stdout or "{}")
    for step in report.get("steps", []):
        print(f"  {step['number']:2} {'passed' if step['passed'] else 'FAILED'}  {step['title']}: {step['detail']}")
    if done.returncode:
        raise DemoError(f"the audit failed: {done.stderr.strip()[-500:]}")
    return {"steps": len(report["steps"]), "passed": report["passed"]}


def state(network: NetworkUp) -> NetworkState:
    """What the network serves."""
    return NetworkState.load(Places(network.folder).state)


def _free_port() -> int:
    from nexus_chain.chain.local import free_port

    return free_port()


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    sys.exit(main())
