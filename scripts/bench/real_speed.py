"""Tokens per second of a real chat model: the engine, ``transformers`` in float32 and bfloat16, llama.cpp in Q8_0.

All four hold the weights of one GGUF file of the catalogue. The engine has the program that its recipe makes of it,
``transformers`` has the floats that it holds, and llama.cpp has what its own quantiser makes of it. Each round runs all
four, one after the other, with the same number of threads; figures are medians over rounds. llama.cpp is built by
``make bench-llama-cpp``'s means the first time (about ten minutes). Writes ``build/bench/real_speed.json``:
``model``, ``<side>.{prefill,decode}_tokens_per_second`` for the sides ``integer``, ``float32``, ``bfloat16`` and
``llama_cpp``, ``ratios``, ``prefill_tokens``, ``threads``, ``rounds``, ``seconds``.

    python -m scripts.bench.real_speed [--threads 2] [--rounds 5] [--prefill 512] [--decode 32]
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from nexus_chain.client.home import ClientHome
from nexus_chain.program import import_checkpoint
from nexus_chain.workflows.checkpoints import checkpoint_source, opened_checkpoint
from scripts.bench.engine import DECODE, FLOAT_STACKS, PREFILL, Runner, Timing, float_runner, integer_runner
from scripts.bench.llama_cpp import llama_cpp_side
from scripts.bench.record import ROOT, write_record
from scripts.fetched import fetched

MODEL = "smollm2-135m-instruct"
REPORT = ROOT / "build" / "bench" / "real_speed.json"
SIDES = ("integer", *FLOAT_STACKS, "llama_cpp")
ROUNDS = 5


@contextmanager
def all_sides(named: str, threads: int, prefill: int, decode: int) -> Iterator[dict[str, Runner]]:
    """What runs each side, while the context lasts. Raises the importer's errors."""
    home = ClientHome(ROOT / "build" / "real-speed")
    with ExitStack() as stack:
        file = checkpoint_source(named, home)
        folder = stack.enter_context(opened_checkpoint(str(file), home))
        model = import_checkpoint(folder)
        network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        sides: dict[str, Runner] = {"integer": integer_runner(model, threads, decode)}
        for name, dtype in FLOAT_STACKS.items():
            same = network if dtype == torch.float32 else copy.deepcopy(network).to(dtype)
            sides[name] = float_runner(same, decode)
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        other = stack.enter_context(llama_cpp_side(file, place / "model.gguf", threads, prefill, decode))
        yield {**sides, "llama_cpp": lambda prompt: other()}


def measure_sides(named: str, threads: int, rounds: int, prefill: int, decode: int) -> dict[str, list[Timing]]:
    """Timings by side; the first round of each warms up and is not counted."""
    generator = torch.Generator().manual_seed(5)
    with all_sides(named, threads, prefill, decode) as sides:
        prompt = torch.randint(0, 1000, (prefill,), generator=generator, dtype=torch.int32)
        found: dict[str, list[Timing]] = {name: [] for name in SIDES}
        for number in range(rounds + 1):
            for name in SIDES:
                timing = sides[name](prompt)
                if number:
                    found[name].append(timing)
    return found


def speeds_of(found: dict[str, list[Timing]], prefill: int) -> dict[str, Any]:
    """Tokens per second by side, and how many times as fast the engine is as each other."""
    speeds = {
        name: {
            "prefill_tokens_per_second": prefill / statistics.median(one.prefill for one in timings),
            "decode_tokens_per_second": 1 / statistics.median(one.decode for one in timings),
        }
        for name, timings in found.items()
    }
    ratios = {
        f"{phase}_vs_{other}": speeds["integer"][f"{phase}_tokens_per_second"]
        / speeds[other][f"{phase}_tokens_per_second"]
        for phase in ("prefill", "decode")
        for other in SIDES[1:]
    }
    return {**speeds, "ratios": ratios}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="of the catalogue, one that comes as a GGUF file")
    parser.add_argument("--threads", type=int, default=min(2, torch.get_num_threads()))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--prefill", type=int, default=PREFILL)
    parser.add_argument("--decode", type=int, default=2 * DECODE)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    began, folder = time.monotonic(), fetched(options.model)
    found = measure_sides(str(folder), options.threads, options.rounds, options.prefill, options.decode)
    sizes = {"prefill_tokens": options.prefill, "threads": options.threads, "rounds": options.rounds}
    figures = {"model": options.model, **speeds_of(found, options.prefill), **sizes}
    report = write_record(REPORT, {**figures, "seconds": round(time.monotonic() - began, 1)})
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
