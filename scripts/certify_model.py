"""Measure a trained folder and write what its certificate needs beside the checkpoint.

Writes ``data.json`` (every training and held-out file by hash), ``held_out.json.gz`` (the sample
that auditors recompute on) and ``metrics.json`` (the integer program and the float32 model on that
sample). Publishing then assembles a certificate from the folder in seconds, without measuring.

It has to run on the Python version that the training data came from; it checks that.

    python scripts/certify_model.py nexus_chain/models/python-11m
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import sysconfig
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from train_model import corpus
from transformers import LlamaForCausalLM

from nexus_chain.certificates.held_out import HeldOutSample, Measurement, measure
from nexus_chain.certificates.listing import DataListing
from nexus_chain.certificates.manifest import TOKENIZER_FILE
from nexus_chain.certificates.publication import (
    LISTING_FILE,
    METRICS_FILE,
    SAMPLE_FILE,
    TRAINING_FILE,
    require_trained_on,
)
from nexus_chain.engine.fast import Engine
from nexus_chain.errors import NexusError
from nexus_chain.program import ActivationBits, import_checkpoint

SAMPLE_TOKENS = 24_000
TOOLS = ("numpy", "safetensors", "tokenizers", "torch", "transformers")


class FloatModel:
    """The checkpoint as ``transformers`` runs it in float32."""

    def __init__(self, folder: Path) -> None:
        self._model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32[T, vocab] after each of the tokens i32[T]."""
        result: torch.Tensor = self._model(input_ids=tokens[None].long(), use_cache=False).logits[0]
        return result


def record(folder: Path, bits: ActivationBits, window: int, integer: Measurement, real: Measurement) -> dict[str, Any]:
    """The contents of ``metrics.json``."""
    tokens = len(integer.best)
    agreements = int((integer.best == real.best).sum())
    return {
        "activation_bits": asdict(bits),
        "agreements": agreements,
        "checkpoint_sha256": "0x" + sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "hits_float32": sum(real.hits),
        "hits_integer": sum(integer.hits),
        "perplexity_float32": real.perplexity,
        "perplexity_integer": integer.perplexity,
        "relative_increase": integer.perplexity / real.perplexity - 1,
        "tokens": tokens,
        "toolchain": {**{tool: version(tool) for tool in TOOLS}, "measured_on_python": platform.python_version()},
        "top1_agreement": agreements / tokens,
        "window": window,
        "window_hits": list(integer.hits),
    }


def certify(folder: Path, sample_tokens: int) -> dict[str, Any]:
    """List, sample and measure; returns what ``metrics.json`` now says."""
    training = json.loads((folder / TRAINING_FILE).read_text())
    root = Path(sysconfig.get_path("stdlib"))
    held_out = list(corpus(root, held_out=True))
    listing = DataListing.of(corpus(root, held_out=False), held_out)
    require_trained_on(listing, training["data"])
    (folder / LISTING_FILE).write_bytes(listing.to_bytes())

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    sample = HeldOutSample.choose(held_out, tokenizer, sample_tokens)
    (folder / SAMPLE_FILE).write_bytes(sample.to_bytes())

    bits, window = ActivationBits(), training["run"]["context"]
    windows = sample.windows(tokenizer, window)
    model = import_checkpoint(folder, widths=bits)
    integer = measure(Engine(model.program, model.weights), windows)
    metrics = record(folder, bits, window, integer, measure(FloatModel(folder), windows, unit=1.0))
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n")
    return metrics


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample-tokens", type=int, default=SAMPLE_TOKENS)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        metrics = certify(arguments.folder, arguments.sample_tokens)
    except NexusError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({key: value for key, value in metrics.items() if key != "window_hits"}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
