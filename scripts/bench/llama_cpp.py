"""Tokens per second of the engine against llama.cpp (Q8_0) at the 1.1 B shape, on the same random weights.

llama.cpp is built from source by pip into ``build/llama-cpp-venv`` the first time (about ten minutes on two cores).
Each round runs both sides, one after the other, with the same number of threads; figures are medians over rounds.
Writes ``build/bench/llama_cpp.json``: ``{integer,llama_cpp}.{prefill,decode}_tokens_per_second``, ``ratios``, ``bars``.

    python -m scripts.bench.llama_cpp [--threads 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from nexus_chain.program import PRESETS, random_model
from scripts.bench.engine import DECODE, LARGE, PREFILL, Timing, integer_runner
from scripts.bench.record import write_record

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "build" / "bench" / "llama_cpp.json"
ENVIRONMENT = ROOT / "build" / "llama-cpp-venv"
PINS = ("numpy==1.26.4", "safetensors==0.8.0", "gguf==0.19.0", "llama-cpp-python==0.3.36")
BARS = {"prefill": 1.0, "decode": 0.8}


def interpreter() -> Path:
    """Python of llama.cpp's environment, built first if it is not there or has other pins."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".pins"
    if stamp.is_file() and stamp.read_text() == "\n".join(PINS):
        return python
    print("bench-llama-cpp: building llama.cpp, about ten minutes", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-binary", "llama-cpp-python", *PINS]
    subprocess.run(install, check=True)
    stamp.write_text("\n".join(PINS))
    return python


@contextmanager
def llama_cpp_side(
    model: Path, written: Path, threads: int, prefill: int, decode: int
) -> Iterator[Callable[[], Timing]]:
    """What runs llama.cpp once on ``model`` (an integer model's folder, or a GGUF file), written as Q8_0 first."""
    peer = ROOT / "scripts" / "bench" / "llama_cpp_peer.py"
    words = [str(interpreter()), str(peer), str(model), str(written), *map(str, (threads, prefill, decode))]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield lambda: ask(process)
        process.communicate()


def measure(threads: int, rounds: int) -> dict[str, list[Timing]]:
    """Timings by side; the first round of each warms up and is not counted."""
    model = random_model(PRESETS[LARGE], seed=1)
    tokens = torch.tensor([(7 * place + 3) % model.program.shape.vocab for place in range(PREFILL)], dtype=torch.int32)
    ours, timings = integer_runner(model, threads, DECODE), {"integer": [], "llama_cpp": []}
    with tempfile.TemporaryDirectory() as name:
        model.save(Path(name))
        with llama_cpp_side(Path(name), Path(name) / "model.gguf", threads, PREFILL, DECODE) as theirs:
            for number in range(rounds + 1):
                found = {"llama_cpp": theirs(), "integer": ours(tokens)}
                for side, timing in found.items():
                    if number:
                        timings[side].append(timing)
    return timings


def ask(peer: subprocess.Popen[str]) -> Timing:
    """One run of the other side."""
    if peer.stdin is None or peer.stdout is None:
        raise SystemExit("bench-llama-cpp: the other side has no pipes")
    peer.stdin.write("run\n")
    peer.stdin.flush()
    line = peer.stdout.readline()
    if not line:
        raise SystemExit("bench-llama-cpp: llama.cpp stopped; run scripts/bench/llama_cpp_peer.py by hand to see why")
    return Timing(**json.loads(line))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=min(2, torch.get_num_threads()))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    speeds = {
        side: {
            "prefill_tokens_per_second": PREFILL / statistics.median(t.prefill for t in found),
            "decode_tokens_per_second": 1 / statistics.median(t.decode for t in found),
        }
        for side, found in measure(options.threads, options.rounds).items()
    }
    ratios = {
        phase: speeds["integer"][f"{phase}_tokens_per_second"] / speeds["llama_cpp"][f"{phase}_tokens_per_second"]
        for phase in BARS
    }
    report = {**speeds, "ratios": ratios, "bars": BARS, "threads": options.threads}
    print(json.dumps(write_record(REPORT, report), indent=2))
    missed = [phase for phase, bar in BARS.items() if ratios[phase] < bar]
    for phase in missed:
        print(f"bench-llama-cpp: {phase} ratio {ratios[phase]:.2f} is under the bar of {BARS[phase]}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
