"""Memory beside the weights for defending an answer of 2 048 positions, for either half of the 1.1 B shape.

Each half is traced in a process of its own from mapped weights, as the defender does it: every tensor
root, then one tensor of the last layer again. Writes ``build/bench/trace.json``: per half
``beside_weights_bytes`` (largest anonymous resident size, the interpreter included), ``seconds``,
``tensors``; ``bar`` is 2 GiB.

    python -m scripts.bench.trace [--half first|second|both] [--layers N] [--positions 2048] [--preset llama-1.1b]

``--layers`` traces only the last N layers of each half. This is quicker and takes the same memory: one layer is held
at a time, and the largest one is the last layer of the second half, with the head.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.program import PRESETS, IntegerModel, Program, Sampling, random_model
from scripts.bench.record import write_record

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "build" / "bench" / "trace.json"
PROMPT = 16  # short: the longer the answer, the more rows of logits
BAR = 2 << 30
LOOK_SECONDS = 0.05


def anonymous_bytes() -> int:
    """Resident memory of this process that no file backs: all but mapped weights and code."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) * 1024


@contextmanager
def watched() -> Iterator[list[int]]:
    """A list of one number: the largest anonymous size seen while the block runs."""
    peak, ended = [anonymous_bytes()], threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            peak[0] = max(peak[0], anonymous_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def trace_half(folder: Path, start: int, end: int, positions: int) -> dict[str, float]:
    """Run in a process of its own: trace layers [start, end) over random rows."""
    program = Program.from_json((folder / "program.json").read_text())
    with safe_open(folder / "shard.safetensors", framework="pt") as source:
        weights = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (not a dict)
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, program.shape.vocab, (positions,), generator=generator, dtype=torch.int32)
    rows = tokens
    if start:
        limit = 1 << 17
        rows = torch.randint(-limit, limit, (positions, program.shape.width), generator=generator, dtype=torch.int32)
    began = time.perf_counter()
    with watched() as peak:
        trace = Trace(program, weights, (start, end), TracedSequence(rows, tokens[:PROMPT], Sampling(), bytes(32)))
        roots = trace.roots()
        trace.tree(len(roots) - 2).root()
    return {"beside_weights_bytes": peak[0], "seconds": time.perf_counter() - began, "tensors": len(roots)}


def measure(model: IntegerModel, start: int, end: int, options: argparse.Namespace) -> dict[str, float]:
    """Write the half's weights to a file and trace it in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "program.json").write_text(model.program.to_json())
        specs = model.program.weights_of(start, end)
        save_file({spec.name: model.weights[spec.name] for spec in specs}, folder / "shard.safetensors")
        child = ["--trace", name, str(start), str(end), "--positions", str(options.positions)]
        command = [sys.executable, "-m", "scripts.bench.trace", "--threads", str(options.threads), *child]
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(run.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=("first", "second", "both"), default="both")
    parser.add_argument("--layers", type=int, help="of each half, the last ones [default: all]")
    parser.add_argument("--positions", type=int, default=2048)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="llama-1.1b")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trace", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.trace:
        folder, start, end = options.trace
        print(json.dumps(trace_half(Path(folder), int(start), int(end), options.positions)))
        return 0
    model = random_model(PRESETS[options.preset])
    layers = model.program.shape.layers
    halves = {"first": (0, layers // 2), "second": (layers // 2, layers)}
    wanted = [options.half] if options.half != "both" else list(halves)
    found = {}
    for name in wanted:
        start, end = halves[name]
        found[name] = measure(model, max(start, end - (options.layers or layers)), end, options)
    report = {
        "shape": options.preset,
        "positions": options.positions,
        "layers": options.layers or layers // 2,
        "halves": found,
        "bar": BAR,
    }
    print(json.dumps(write_record(REPORT, report), indent=2))
    largest = max(half["beside_weights_bytes"] for half in found.values())
    if largest > BAR:
        print(f"bench-trace: {largest} bytes beside the weights, over the bar of {BAR}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
