"""Every op of every family on a GPU against the CPU, bit by bit, and the GPU's speed.

Traces random models of each family on both devices and compares all tensors; then times prefill and
decoding at the 1.1 B shape. Writes ``build/bench/devices.json``: ``device``, ``torch``, ``cuda``,
``families.<preset>.{ops,tensors,different}``, ``speed.{prefill,decode}_tokens_per_second``. Exits 1 where a bit
differs. Without a GPU it says so and exits 2.

    python -m scripts.runs.compare_devices [--skip-speed]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

from nexus_chain.engine.engine import Engine
from nexus_chain.engine.products import product_name
from nexus_chain.engine.trace import TraceExecutor
from nexus_chain.program import PRESETS, IntegerModel, random_model
from nexus_chain.program.sampling import Sampling
from scripts.bench.record import write_record

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "build" / "bench" / "devices.json"
FAMILIES = ("tiny", "tiny-bias", "tiny-wide", "tiny-encoder", "tiny-experts")
LARGE = "llama-1.1b"
NOISY = Sampling.at_temperature(0.8, bytes(range(32)))
PREFILL, DECODE = 512, 32


def differences(model: IntegerModel) -> dict[str, object]:
    """Tensors of one prompt's trace that are not the same bits on both devices."""
    length = min(29, model.program.shape.context)
    rows = torch.arange(length, dtype=torch.int32) * 13 % model.program.shape.vocab
    cpu, gpu = (
        TraceExecutor(Engine(model.program, model.weights, backend=backend)).run(rows, length - 3, NOISY)
        for backend in ("auto", "cuda")
    )
    different = [name for name in cpu if not torch.equal(cpu[name], gpu[name])]
    return {"ops": len(model.program.ops), "tensors": len(cpu), "different": different}


def speed(model: IntegerModel) -> dict[str, float]:
    """Tokens per second of one sequence on the GPU."""
    engine = Engine(model.program, model.weights, backend="cuda")
    prompt = torch.arange(PREFILL, dtype=torch.int32) % model.program.shape.vocab
    engine.forward([(engine.open(PREFILL, Sampling(), PREFILL), prompt)])  # warms up
    state = engine.open(PREFILL, Sampling(), PREFILL + DECODE)
    began = time.perf_counter()
    token = engine.forward([(state, prompt)])[0]
    prefill, steps = time.perf_counter() - began, []
    for _ in range(DECODE):
        began = time.perf_counter()
        token = engine.forward([(state, token)])[0]
        steps.append(time.perf_counter() - began)
    return {
        "prefill_tokens_per_second": PREFILL / prefill,
        "decode_tokens_per_second": 1 / statistics.median(steps),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-speed", action="store_true", help="compare only")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("compare-devices: torch sees no CUDA device on this machine", file=sys.stderr)
        return 2
    families = {name: differences(random_model(PRESETS[name], seed=2)) for name in FAMILIES}
    report: dict[str, object] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "product": product_name("cuda"),
        "families": families,
    }
    if not options.skip_speed:
        report["speed"] = speed(random_model(PRESETS[LARGE], seed=1))
    print(json.dumps(write_record(REPORT, report), indent=2))
    return 1 if any(found["different"] for found in families.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
