"""Write the model card and the loss curve of a trained model folder.

Reads what the other scripts measured (``training.json``, ``metrics.json``) and writes
``README.md`` and ``loss.png`` beside them. It measures nothing itself: a figure that is not in
those files is not in the card.

    python scripts/write_model_card.py nexus_chain/models/python-stdlib
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from nexus_chain.program.checkpoint import weight_files

CARD = """\
# {name}

A small Llama-layout language model of Python source code, trained from scratch by
`scripts/runs/train_model.py` in this repository. It exists so that the whole network can be run,
paid, verified and audited on one machine with a model that nobody has to download.

| | |
|---|---|
| Architecture | `LlamaForCausalLM`, tied head |
| Shape | {layers} layers, width {width}, {heads} heads ({kv_heads} KV), FFN {ffn} |
| Parameters | {parameters:,} (stored as bfloat16, {size_mb:.1f} MB) |
| Context | {context} positions |
| Tokenizer | byte-level BPE, {vocab} entries, trained on the same training files |
| Data | source of the Python {python} standard library, `.py` files, PSF-2.0 licence |
| Training set | {train_files} files, {train_tokens:,} tokens, SHA-256 `{train_sha}` |
| Held-out set | {held_files} files, {held_tokens:,} tokens, chosen by the hash of the path, SHA-256 `{held_sha}` |
| Licence | weights and tokenizer under PSF-2.0, as derived from the data |

## Training
| | |
|---|---|
| Steps | {steps} of {batch} windows of {context} tokens |
| Tokens seen | {seen:,}, which are {epochs:.2f} passes |
| Arithmetic | bfloat16 autocast |
| Matrices inside the layers | Muon, learning rate {muon} |
| Embeddings and gains | AdamW, learning rate {adam} |
| Weight decay | {decay} |
| Learning rate | {warmup} steps of warm-up, linear decay over the last {decay_percent:.0f} % |
| Gradients | clipped at 1.0 |
| Seed | {seed} |
| Machine | {hours:.1f} hours, CPU threads: {threads}, torch {torch} |

![Loss](loss.png)

## Quality
Measured on {metric_tokens:,} held-out tokens by `scripts/runs/certify_model.py` (file `metrics.json`).

| | float32 | integer program | difference |
|---|---|---|---|
| Perplexity | {ppl_float:.4f} | {ppl_integer:.4f} | {increase:+.3f} % |
| Best token is the same | | {agreement:.2f} % | |

## Drafts
`drafts.safetensors` holds what the model most often says after one to six tokens. `scripts/runs/distil_drafts.py`
counted this in the model's greedy answers to pieces of the training files. No held-out file was among them. The table
makes answers faster and never changes them.

## Use and limits
It completes Python in the style of the standard library: imports, signatures, docstrings, test cases. It does not
follow instructions. It knows nothing that is newer than its data. Read its code before you run it. Names and comments
of the standard library's authors occur in its data.
"""


def facts(folder: Path, training: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    """Everything that the card names, from the two records."""
    run, data = training["run"], training["data"]
    return {
        "name": folder.name,
        "layers": run["num_hidden_layers"],
        "width": run["hidden_size"],
        "heads": run["num_attention_heads"],
        "kv_heads": run["num_key_value_heads"],
        "ffn": run["intermediate_size"],
        "vocab": run["vocab_size"],
        "context": run["context"],
        "parameters": training["parameters"],
        "size_mb": sum((folder / name).stat().st_size for name in weight_files(folder)) / 1e6,
        "python": data["python"],
        "train_files": data["training"]["files"],
        "train_tokens": data["training"]["tokens"],
        "train_sha": data["training"]["sha256"],
        "held_files": data["held_out"]["files"],
        "held_tokens": data["held_out"]["tokens"],
        "held_sha": data["held_out"]["sha256"],
        "steps": run["steps"],
        "batch": run["batch"],
        "seen": training["tokens_seen"],
        "epochs": training["epochs"],
        "muon": run["muon_learning_rate"],
        "adam": run["adam_learning_rate"],
        "decay": run["weight_decay"],
        "warmup": run["warmup"],
        "decay_percent": 100 * run["decay_fraction"],
        "seed": run["seed"],
        "hours": training["curve"][-1]["seconds"] / 3600,
        "threads": training["threads"],
        "torch": training["torch"],
        "metric_tokens": metrics["tokens"],
        "ppl_float": metrics["perplexity_float32"],
        "ppl_integer": metrics["perplexity_integer"],
        "increase": 100 * metrics["relative_increase"],
        "agreement": 100 * metrics["top1_agreement"],
    }


def draw_curve(curve: list[dict[str, float]], out: Path) -> None:
    """Training and held-out loss (nats per token) over steps."""
    figure, axes = pyplot.subplots(figsize=(7, 3.6), dpi=110)
    axes.plot([p["step"] for p in curve], [p["training"] for p in curve], label="training (mean of 20 steps)")
    held = [p for p in curve if "held_out" in p]
    axes.plot([p["step"] for p in held], [p["held_out"] for p in held], "o-", label="held-out")
    axes.set(xlabel="step", ylabel="loss (nats per token)", ylim=(1.0, 5.0))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(out, metadata={"Software": None})
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    training = json.loads((folder / "training.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    draw_curve(training["curve"], folder / "loss.png")
    (folder / "README.md").write_text(CARD.format(**facts(folder, training, metrics)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
