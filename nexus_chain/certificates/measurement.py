"""Measure a trained folder and write what its certificate needs beside the checkpoint.

Writes ``data.json`` (every training and held-out file by hash), ``held_out.json.gz`` (the sample
that auditors recompute on) and ``metrics.json`` (integer program and float32 model on that sample).
Where the texts come from and how the float model runs are the caller's affair.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nexus_chain.certificates.publication import LISTING_FILE, TRAINING_FILE, require_trained_on
from nexus_chain.content.listing import DataListing
from nexus_chain.engine.engine import Engine
from nexus_chain.program import ActivationBits, Recipe, import_checkpoint
from nexus_chain.program.file_names import METRICS_FILE, TOKENIZER_FILE
from nexus_chain.quality.held_out import SAMPLE_FILE, HeldOutSample, LogitModel, SampleMeasurement, measure
from nexus_chain.versions.manifest import file_sha256, weights_of, weights_sha256
from nexus_chain.versions.tokenizer_assembly import assemble

SAMPLE_TOKENS = 20_992  # 41 windows of 512; whole files make it a little more
TOOLS = ("numpy", "safetensors", "tokenizers", "torch", "transformers")
Texts = Sequence[tuple[str, str]]  # (path, text)


def measure_folder(
    folder: Path,
    training: Texts,
    held_out: Texts,
    float_model: LogitModel,
    *,
    bits: ActivationBits | None = None,
    sample_tokens: int = SAMPLE_TOKENS,
) -> dict[str, Any]:
    """List the data, choose the sample, measure; returns what ``metrics.json`` now says.

    ``float_model`` gives float32 logits of the same checkpoint. Raises TrainedFolderError when the
    texts are not those that ``training.json`` names. A recipe that the folder records is followed.
    """
    bits = bits or Recipe.of_folder(folder).widths
    trained = json.loads((folder / TRAINING_FILE).read_text())
    listing = DataListing.of(training, held_out)
    require_trained_on(listing, trained["data"])
    (folder / LISTING_FILE).write_bytes(listing.to_bytes())

    tokenizer = assemble(folder / TOKENIZER_FILE)
    sample = HeldOutSample.choose(held_out, tokenizer, sample_tokens)
    (folder / SAMPLE_FILE).write_bytes(sample.to_bytes())

    windows = sample.windows(tokenizer, trained["run"]["context"])
    model = import_checkpoint(folder, widths=bits)
    integer = measure(Engine(model.program, model.weights), windows)
    metrics = _record(folder, bits, integer, measure(float_model, windows, unit=1.0))
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n")
    return metrics


def _record(folder: Path, bits: ActivationBits, integer: SampleMeasurement, real: SampleMeasurement) -> dict[str, Any]:
    tokens = len(integer.best)
    agreements = int((integer.best == real.best).sum())
    return {
        "activation_bits": asdict(bits),
        "agreements": agreements,
        "checkpoint_sha256": weights_sha256({name: file_sha256(folder / name) for name in weights_of(folder)}),
        "hits_float32": sum(real.hits),
        "hits_integer": sum(integer.hits),
        "perplexity_float32": real.perplexity,
        "perplexity_integer": integer.perplexity,
        "relative_increase": integer.perplexity / real.perplexity - 1,
        "tokens": tokens,
        "toolchain": {**{tool: version(tool) for tool in TOOLS}, "measured_on_python": platform.python_version()},
        "top1_agreement": agreements / tokens,
        "window": tokens // len(integer.hits),
        "window_hits": list(integer.hits),
    }
