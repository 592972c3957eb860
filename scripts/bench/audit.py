"""Time of auditing a finished answer against the time of generating it.

One process generates 128 tokens after a prompt of 128 at the 1.1 B shape (random weights: time does
not depend on their values), then recomputes the answer the way ``nexus verify`` does: one prefill
over its tokens with the roots of every boundary. Writes ``build/bench/audit.json``: ``ratio``,
``generate_seconds``, ``audit_seconds``, ``bar``, and ``cpu_ratio`` of processor seconds, which other
processes on the machine disturb less.

    python -m scripts.bench.audit [--threads 2] [--preset llama-1.1b]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from nexus_chain.engine.engine import Engine
from nexus_chain.engine.generation import generate
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import recompute
from nexus_chain.market.documents import Ask, Domain, Order
from nexus_chain.program import PRESETS, IntegerModel, random_model
from scripts.bench.record import write_record

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "build" / "bench" / "audit.json"
PROMPT = GENERATED = 128
BAR = 0.15
NOBODY = "0x" + "00" * 20


@dataclass(frozen=True)
class Clock:
    """Seconds by the wall and of all the process's threads, since a moment."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Clock:
        return cls(time.perf_counter(), time.process_time())

    def elapsed(self) -> Clock:
        """Since this moment."""
        end = Clock.now()
        return Clock(end.wall - self.wall, end.processor - self.processor)


def answer(model: IntegerModel, prompt: list[int], threads: int) -> tuple[list[int], Clock]:
    """Sampled tokens and the time they took, prompt included."""
    engine = Engine(model.program, model.weights, threads=threads)
    next(generate([engine], prompt[:1], 1))  # pages the weights in, for both sides
    began = Clock.now()
    sampled = list(generate([engine], prompt, GENERATED))
    return sampled, began.elapsed()


def evidence(model: IntegerModel, tokens: list[int]) -> InferenceProof:
    """The part of an answer's file that recomputation reads: the order's layers and sampling, and the tokens."""
    word = bytes(32)
    asks = (Ask(0, model.program.shape.layers, 0),)
    order = Order(word, word, word, word, GENERATED, word, 0, 0, asks, 0)
    return InferenceProof(Domain(1, NOBODY), order, b"", NOBODY, PROMPT, tuple(tokens), (), (), {})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="llama-1.1b")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = random_model(PRESETS[options.preset])
    generator = torch.Generator().manual_seed(1)
    prompt = torch.randint(0, model.program.shape.vocab, (PROMPT,), generator=generator).tolist()
    sampled, generating = answer(model, prompt, options.threads)
    began = Clock.now()
    found = recompute(evidence(model, prompt + sampled), model)
    auditing = began.elapsed()
    if found.sampled != sampled:
        print("bench-audit: the audit's tokens are not the generated ones", file=sys.stderr)
        return 1
    report = {
        "shape": options.preset,
        "prompt_tokens": PROMPT,
        "generated_tokens": GENERATED,
        "threads": options.threads,
        "generate_seconds": generating.wall,
        "audit_seconds": auditing.wall,
        "ratio": auditing.wall / generating.wall,
        "cpu_ratio": auditing.processor / generating.processor,
        "bar": BAR,
    }
    print(json.dumps(write_record(REPORT, report), indent=2))
    if report["ratio"] > BAR:
        print(f"bench-audit: ratio {report['ratio']:.3f} is over the bar of {BAR}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
