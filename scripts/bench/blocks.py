"""What a node's shard costs: the time to its first token, its memory, and its speed from disk under a limit.

Works on a shard of the 1.1 B shape with random weights, each measurement in a process of its own:

- *starts*: the same start twice in one data folder, from opening the files to the first sampled token. It does what a
  node does: verification, overflow proof, engine. Imports are counted beside it. The bar is for the second start, which
  finds what the first one checked. ``first_token_cpu_seconds`` is the processor time of all threads: a machine without
  other work would need no more.
- *memory*: the largest resident size of that process by the bytes of its shard, mapped pages included. The process has
  touched every page of the shard before. ``peak_ratio`` leaves out what Python and the libraries take once imported,
  which is about 0.3 GB for any shard. ``peak_ratio_with_imports`` leaves out nothing.
- *streaming*: decoding with a memory limit of a quarter of the shard, against reading the same file from beginning to
  end in the same rounds. The page cache is dropped before each side. Then the same with many sequences, and the bits
  against the engine that holds everything.

Writes ``build/bench/blocks.json``.

    python -m scripts.bench.blocks [--threads 2] [--rounds 3] [--preset llama-1.1b]
"""

from __future__ import annotations

import time

BEGAN = time.perf_counter()

import argparse  # the imports are part of a start  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402

from nexus_chain.commitments.established_facts import EstablishedFacts  # noqa: E402
from nexus_chain.commitments.mapped_file import CLOCK_STEP_NS  # noqa: E402
from nexus_chain.commitments.tensor_block import TensorBlock, load_tensor_block, write_tensor_block  # noqa: E402
from nexus_chain.commitments.weights import ModelCommitment  # noqa: E402
from nexus_chain.engine.engine import Engine  # noqa: E402
from nexus_chain.engine.streaming import StreamedEngine  # noqa: E402
from nexus_chain.program import PRESETS, random_model  # noqa: E402
from nexus_chain.program.sampling import Sampling  # noqa: E402
from node.daemon.shard_loading import prove_once  # noqa: E402
from scripts.bench.record import write_record  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BARS = {"first_token_seconds": 1.0, "peak_ratio": 1.15, "bandwidth_ratio": 0.5}
PROMPT = 4
SEQUENCES = 16
READ_BYTES = 8 << 20
SAMPLE_SECONDS = 0.02
SAMPLING = Sampling(beta=40000, seed=bytes(range(32)))


def read_status(name: str) -> int:
    """A size in /proc/self/status, bytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) * 1024


def mapped_bytes(path: Path) -> int:
    """Resident bytes of the mappings of a file."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()
        if not head[0].endswith(":"):
            inside = line.endswith(str(path))
        elif inside and head[0] == "Rss:":
            total += int(head[1]) * 1024
    return total


@contextmanager
def watched(path: Path) -> Iterator[Callable[[], int]]:
    """Sample the file's resident bytes meanwhile; yields what returns the largest."""
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, mapped_bytes(path))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: peak
    finally:
        ended.set()
        thread.join()


def prompt_of(vocab: int, seed: int, length: int = PROMPT) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocab, (length,), generator=generator, dtype=torch.int32)


class Folder:
    """The shard, the data folder beside it, and the roots that a chain would hold."""

    def __init__(self, folder: Path) -> None:
        self.block, self.facts, self._roots = folder / "block", folder / "verified", folder / "roots.json"

    def write(self, preset: str) -> None:
        model = random_model(PRESETS[preset], seed=1)
        commitment = ModelCommitment.of(model)
        write_tensor_block(model, self.block, 0, model.program.shape.layers, commitment)
        roots = [commitment.weights_root.hex(), commitment.program_root.hex()]
        self._roots.write_text(json.dumps(roots))
        time.sleep(2 * CLOCK_STEP_NS / 1e9)  # a younger file is not remembered

    def load(self) -> TensorBlock:
        weights_root, program_root = (bytes.fromhex(root) for root in json.loads(self._roots.read_text()))
        facts = EstablishedFacts(self.facts)
        block = load_tensor_block(self.block, weights_root, program_root, facts=facts)
        prove_once(block.program, program_root, facts)
        return block


def start(folder: Folder, threads: int) -> dict[str, float]:
    """One start, from the files to the first token."""
    imported, resident, worked = time.perf_counter(), read_status("VmRSS"), time.process_time()
    block = folder.load()
    loaded = time.perf_counter()
    engine = Engine(block.program, block.weights, block.layer_start, block.layer_end, threads)
    built = time.perf_counter()
    state = engine.open(PROMPT, SAMPLING, 64)
    engine.forward([(state, prompt_of(block.program.shape.vocab, 1))])
    done, worked = time.perf_counter(), time.process_time() - worked
    block.prefetch(list(block.weights))  # a short prompt looks up few rows of the embedding table
    peak = read_status("VmHWM")
    return {
        "first_token_seconds": done - imported,
        "first_token_cpu_seconds": worked,
        "load_seconds": loaded - imported,
        "engine_seconds": built - loaded,
        "forward_seconds": done - built,
        "import_seconds": imported - BEGAN,
        "peak_bytes": peak,
        "peak_ratio": (peak - resident) / block.nbytes,
        "peak_ratio_with_imports": peak / block.nbytes,
    }


def drop_cache(path: Path) -> None:
    """Ask the kernel to forget the file's pages; those that are mapped stay."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def read_bandwidth(path: Path) -> float:
    """Bytes per second of reading the whole file once."""
    drop_cache(path)
    buffer, began = bytearray(READ_BYTES), time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return path.stat().st_size / (time.perf_counter() - began)


def stream(folder: Folder, threads: int, rounds: int) -> dict[str, Any]:
    """Decoding from disk, in turns with plain reading."""
    block = folder.load()
    limit = block.nbytes // 4
    engine = StreamedEngine(
        block.program, block.weights, block, limit, block.layer_start, block.layer_end, threads=threads
    )
    fed = [prompt_of(block.program.shape.vocab, seed) for seed in range(SEQUENCES)]
    states = [engine.open(PROMPT, SAMPLING, 64) for _ in fed]
    with watched(folder.block) as peak:
        rows = engine.forward(list(zip(states, fed, strict=True)))
        single = engine.open(PROMPT, SAMPLING, 64)
        row = engine.forward([(single, fed[0])])[0]
    tokens, sides = [row], []
    for _ in range(rounds):
        read = read_bandwidth(folder.block)
        drop_cache(folder.block)
        began = time.perf_counter()
        tokens += engine.forward([(single, tokens[-1])])
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        rows = engine.forward(list(zip(states, rows, strict=True)))
        sides.append((read, engine.plan.pass_bytes / seconds, 1 / seconds, SEQUENCES / (time.perf_counter() - began)))
    with watched(folder.block) as decoding:
        tokens += engine.forward([(single, tokens[-1])])
    read, streamed, alone, together = (statistics.median(values) for values in zip(*sides, strict=True))
    return {
        "limit_bytes": limit,
        "peak_mapped_bytes": max(peak(), decoding()),
        "peak_mapped_ratio": max(peak(), decoding()) / limit,
        "pass_bytes": engine.plan.pass_bytes,
        "layers_at_once": engine.plan.depth,
        "read_bytes_per_second": read,
        "stream_bytes_per_second": streamed,
        "bandwidth_ratio": statistics.median(streamed / read for read, streamed, _, _ in sides),
        "tokens_per_second": alone,
        "tokens_per_second_of_many": together,
        "sequences": SEQUENCES,
        "same_bits": same_bits(block, threads, fed[0], tokens, single),
    }


def same_bits(block: TensorBlock, threads: int, prompt: torch.Tensor, tokens: list[torch.Tensor], state: Any) -> bool:
    """Whether the engine that holds everything gives the same tokens, keys and values."""
    engine = Engine(block.program, block.weights, block.layer_start, block.layer_end, threads)
    whole, row = engine.open(PROMPT, SAMPLING, 64), prompt
    for token in tokens:
        row = engine.forward([(whole, row)])[0]
        if not torch.equal(row, token):
            return False
    caches = [cache for layer in state.layers for cache in layer.caches]
    return all(
        torch.equal(a, b)
        for mine, theirs in zip(whole.caches, caches, strict=True)
        for a, b in zip(mine.tensors, theirs.tensors, strict=True)
    )


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.out.parent) as name:  # beside the result: on a disk
        subprocess_of(arguments, "write", name)
        first, *others = [subprocess_of(arguments, "start", name) for _ in range(arguments.rounds + 1)]
        second = {key: statistics.median(run[key] for run in others) for key in others[0]}
        streaming = subprocess_of(arguments, "stream", name)
    peak = max(run["peak_ratio"] for run in (first, *others))
    found = {
        "first_token_seconds": second["first_token_seconds"],
        "peak_ratio": peak,
        "bandwidth_ratio": streaming["bandwidth_ratio"],
    }
    return {
        **found,
        "bars": BARS,
        "first_start": first,
        "second_start": second,
        "streaming": streaming,
        "preset": arguments.preset,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
    }


def subprocess_of(arguments: argparse.Namespace, step: str, folder: str) -> dict[str, Any]:
    """One step in a fresh process; its JSON."""
    settings = ["--threads", str(arguments.threads), "--rounds", str(arguments.rounds), "--preset", arguments.preset]
    command = [sys.executable, "-m", "scripts.bench.blocks", *settings, "--step", step, folder]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=min(2, torch.get_num_threads()))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="llama-1.1b", choices=sorted(PRESETS))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "blocks.json")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.step:
        step, folder = arguments.step[0], Folder(Path(arguments.step[1]))
        steps: dict[str, Callable[[], Any]] = {
            "write": lambda: folder.write(arguments.preset),
            "start": lambda: start(folder, arguments.threads),
            "stream": lambda: stream(folder, arguments.threads, arguments.rounds),
        }
        print(json.dumps(steps[step]()))
        return 0
    result = bench(arguments)
    print(json.dumps(write_record(arguments.out, result), indent=1))
    met = (
        result["first_token_seconds"] <= BARS["first_token_seconds"]
        and result["peak_ratio"] <= BARS["peak_ratio"]
        and result["bandwidth_ratio"] >= BARS["bandwidth_ratio"]
        and result["streaming"]["same_bits"]
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
