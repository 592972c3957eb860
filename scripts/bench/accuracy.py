"""Perplexity of the shipped model as an integer program against float32, on held-out files.

Both read the same windows of the held-out side of the training split; integer logits (Q12) enter
the metric as they are. Writes ``build/bench/accuracy.json``: ``perplexity_float32``,
``perplexity_integer``, ``relative_increase``, ``top1_agreement`` and ``tokens``.

    python -m scripts.bench.accuracy [--tokens 24000]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from nexus_chain.engine.engine import Engine
from nexus_chain.program import import_checkpoint
from scripts.bench.record import write_record
from scripts.runs.train_model import corpus, encode

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "nexus_chain" / "models" / "python-stdlib"
LOGIT_ONE = 1 << 12


def windows(model: Path, context: int, wanted: int) -> Iterator[Tensor]:
    """int64[context + 1] windows over the held-out stream until they hold ``wanted`` predictions."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    texts = [text for _, text in corpus(Path(sysconfig.get_path("stdlib")), held_out=True)]
    stream = torch.from_numpy(encode(tokenizer, texts).astype("int64"))
    count = min(-(-wanted // context), (len(stream) - 1) // context)
    for index in range(count):
        yield stream[index * context : (index + 1) * context + 1]


def loss_sum(logits: Tensor, targets: Tensor) -> float:
    """Total cross-entropy in nats; float64[T, V] and int64[T]."""
    return float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))


@torch.inference_mode()
def compare(model: Path, wanted: int) -> dict[str, float]:
    """Both perplexities, their relative difference, and how often the best token is the same."""
    network = LlamaForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    integer = import_checkpoint(model)
    engine = Engine(integer.program, integer.weights)
    float_loss = integer_loss = 0.0
    agreed = tokens = 0
    for window in windows(model, integer.program.shape.context, wanted):
        given, targets = window[:-1], window[1:]
        expected = network(given[None], use_cache=False).logits[0].double()
        found = engine.logits(given.int()).double() / LOGIT_ONE
        float_loss += loss_sum(expected, targets)
        integer_loss += loss_sum(found, targets)
        agreed += int((expected.argmax(-1) == found.argmax(-1)).sum())
        tokens += len(targets)
    perplexity = math.exp(float_loss / tokens), math.exp(integer_loss / tokens)
    return {
        "perplexity_float32": perplexity[0],
        "perplexity_integer": perplexity[1],
        "relative_increase": perplexity[1] / perplexity[0] - 1,
        "top1_agreement": agreed / tokens,
        "tokens": tokens,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=24_000)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "accuracy.json")
    arguments = parser.parse_args()
    result = compare(arguments.model, arguments.tokens)
    print(json.dumps(write_record(arguments.out, result), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
