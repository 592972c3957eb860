"""Tokens per second of the engine against ``transformers``, and the memory of a serving node.

Each round runs every stack once, one after the other, so that a change in the machine's load hits
all of them; figures are medians over rounds. Writes ``build/bench/engine.json``:
``models.<name>.<stack>.{prefill,decode}_tokens_per_second`` for the stacks ``integer``, ``float32``
and ``bfloat16``, ``models.<name>.ratios``, and ``node_memory_ratio`` where the 1.1 B shape is measured.

    python -m scripts.bench.engine [--threads 2] [--rounds 3] [--only llama-1.1b] [--prefill 512] [--decode 16]
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    DynamicCache,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
)

from nexus_chain.engine.engine import Engine
from nexus_chain.program import PRESETS, IntegerModel, ModelShape, Program, import_checkpoint, random_model
from nexus_chain.program.sampling import Sampling
from scripts.bench.record import write_record

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "nexus_chain" / "models" / "python-stdlib"
SMALL, LARGE, EXPERTS = "llama-135m", "llama-1.1b", "mixtral-1b"
RANDOM = (SMALL, LARGE, EXPERTS)  # presets with random weights
PREFILL = 512
DECODE = 16
FLOAT_STACKS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Timing:
    """Seconds of one prefill, and of one decoding step (the median of a run)."""

    prefill: float
    decode: float


Runner = Callable[[Tensor], Timing]


def timed_decode(step: Callable[[], None], steps: int) -> float:
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def integer_runner(model: IntegerModel, threads: int, decode: int) -> Runner:
    """Prefill and greedy decoding by the engine holding all layers."""
    engine = Engine(model.program, model.weights, threads=threads)

    def run(prompt: Tensor) -> Timing:
        state = engine.open(len(prompt), Sampling(), len(prompt) + decode)
        began = time.perf_counter()
        token = engine.forward([(state, prompt)])[0]
        prefill = time.perf_counter() - began

        def step() -> None:
            nonlocal token
            token = engine.forward([(state, token)])[0]

        return Timing(prefill, timed_decode(step, decode))

    return run


def float_runner(model: PreTrainedModel, decode: int) -> Runner:
    """The same with ``transformers`` and its KV cache."""

    @torch.inference_mode()
    def run(prompt: Tensor) -> Timing:
        cache = DynamicCache()
        began = time.perf_counter()
        logits = model(prompt.long()[None], past_key_values=cache, logits_to_keep=1).logits
        token = logits[:, -1:].argmax(-1)
        prefill = time.perf_counter() - began

        def step() -> None:
            nonlocal token
            token = model(token, past_key_values=cache).logits[:, -1:].argmax(-1)

        return Timing(prefill, timed_decode(step, decode))

    return run


def random_network(shape: ModelShape) -> PreTrainedModel:
    """A float32 network of ``shape``; its weights do not matter for speed."""
    sizes = {
        "vocab_size": shape.vocab,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": shape.context,
        "tie_word_embeddings": False,
        "attn_implementation": "sdpa",
    }
    if not shape.experts:
        return LlamaForCausalLM(LlamaConfig(**sizes))
    experts = {"num_local_experts": shape.experts, "num_experts_per_tok": shape.experts_per_token}
    return MixtralForCausalLM(MixtralConfig(**sizes, **experts))


def runners(name: str, threads: int, decode: int) -> Iterator[tuple[str, Runner]]:
    """Every stack of one model; all stay in memory while the rounds last."""
    if name in RANDOM:
        yield "integer", integer_runner(random_model(PRESETS[name], seed=1), threads, decode)
        network = random_network(PRESETS[name]).eval()
    else:
        yield "integer", integer_runner(import_checkpoint(SHIPPED), threads, decode)
        network = LlamaForCausalLM.from_pretrained(SHIPPED, dtype=torch.float32).eval()
    for stack, dtype in FLOAT_STACKS.items():
        yield stack, float_runner(network if dtype == torch.float32 else copy.deepcopy(network).to(dtype), decode)


def measure(name: str, shape: ModelShape, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Tokens per second by stack, and the engine's ratios to the others."""
    length = min(arguments.prefill, shape.context - arguments.decode)
    prompt = torch.randint(0, shape.vocab, (length,), generator=torch.Generator().manual_seed(5), dtype=torch.int32)
    stacks = dict(runners(name, arguments.threads, arguments.decode))
    timings: dict[str, list[Timing]] = {stack: [] for stack in stacks}
    for number in range(arguments.rounds + 1):
        for stack, run in stacks.items():
            timing = run(prompt)
            if number:  # the first round warms caches and thread pools
                timings[stack].append(timing)
    result = {
        stack: {
            "prefill_tokens_per_second": length / statistics.median(t.prefill for t in found),
            "decode_tokens_per_second": 1 / statistics.median(t.decode for t in found),
        }
        for stack, found in timings.items()
    }
    result["ratios"] = {
        f"{phase}_vs_{stack}": result["integer"][f"{phase}_tokens_per_second"]
        / result[stack][f"{phase}_tokens_per_second"]
        for phase in ("prefill", "decode")
        for stack in FLOAT_STACKS
    }
    return result


def peak_bytes() -> int:
    """Largest resident size of this process so far."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def node_memory(folder: Path, start: int, end: int, threads: int) -> dict[str, float]:
    """Run in a process of its own: serve layers [start, end) from a mapped file; bytes it took."""
    torch.set_num_threads(threads)
    program = Program.from_json((folder / "program.json").read_text())
    baseline = peak_bytes()
    with safe_open(folder / "shard.safetensors", framework="pt") as source:
        weights = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (not a dict)
    engine = Engine(program, weights, start, end, threads=threads)
    state = engine.open(PREFILL, Sampling(), PREFILL + DECODE)
    width = program.shape.width
    rows = torch.zeros(PREFILL, dtype=torch.int32) if engine.is_first else torch.ones(PREFILL, width, dtype=torch.int32)
    engine.forward([(state, rows)])
    for _ in range(DECODE):
        engine.forward([(state, rows[:1])])
    shard = sum(tensor.nbytes for tensor in weights.values())
    used = peak_bytes() - baseline - state.nbytes
    return {"shard_bytes": shard, "used_bytes": used, "ratio": used / shard}


def node_memory_ratio(threads: int) -> float:
    """The larger of both halves of the 1.1 B shape: bytes a node takes beside its cache, per shard byte."""
    shape = PRESETS[LARGE]
    model = random_model(shape, seed=1)
    middle = shape.layers // 2
    ratios = []
    for start, end in ((0, middle), (middle, shape.layers)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "program.json").write_text(model.program.to_json())
            specs = model.program.weights_of(start, end)
            save_file({spec.name: model.weights[spec.name] for spec in specs}, folder / "shard.safetensors")
            command = [
                sys.executable,
                "-m",
                "scripts.bench.engine",
                "--threads",
                str(threads),
                "--node",
                name,
                str(start),
                str(end),
            ]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            ratios.append(float(json.loads(run.stdout)["ratio"]))
    return max(ratios)


def bench(arguments: argparse.Namespace) -> dict[str, object]:
    shapes = {name: PRESETS[name] for name in RANDOM}
    if SHIPPED.exists():
        shapes[SHIPPED.name] = import_checkpoint(SHIPPED).program.shape
    wanted = [name for name in shapes if arguments.only in (None, name)]
    models = {name: measure(name, shapes[name], arguments) for name in wanted}
    return {
        "models": models,
        **({"node_memory_ratio": node_memory_ratio(arguments.threads)} if LARGE in wanted else {}),
        "prefill_tokens": arguments.prefill,
        "decode_tokens": arguments.decode,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "torch": torch.__version__,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=min(2, torch.get_num_threads()))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prefill", type=int, default=PREFILL, help="tokens of the prompt")
    parser.add_argument("--decode", type=int, default=DECODE, help="tokens generated per round")
    parser.add_argument("--only", choices=[*RANDOM, SHIPPED.name], help="measure this model only")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "engine.json")
    parser.add_argument("--node", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.node:
        folder, start, end = arguments.node
        print(json.dumps(node_memory(Path(folder), int(start), int(end), arguments.threads)))
        return 0
    result = bench(arguments)
    print(json.dumps(write_record(arguments.out, result), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
