"""Measure a trained model on held-out text and prepare its certificate.

Writes ``data.json``, ``held_out.json.gz`` and ``metrics.json`` into the model's folder (see
``nexus_chain.certificates.measurement``). Publishing then assembles the certificate from the
folder in seconds. It has to run on the Python version whose standard library the model was
trained on, and says so when it does not.

    python scripts/certify_model.py nexus_chain/models/python-stdlib
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
from pathlib import Path

import torch
from train_model import corpus
from transformers import LlamaForCausalLM

from nexus_chain.certificates.measurement import SAMPLE_TOKENS, measure_folder
from nexus_chain.errors import NexusError


class FloatModel:
    """The checkpoint as ``transformers`` runs it in float32."""

    def __init__(self, folder: Path) -> None:
        self._model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32[T, vocab] after each of the tokens i32[T]."""
        result: torch.Tensor = self._model(input_ids=tokens[None].long(), use_cache=False).logits[0]
        return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample-tokens", type=int, default=SAMPLE_TOKENS)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    root = Path(sysconfig.get_path("stdlib"))
    training, held_out = list(corpus(root, held_out=False)), list(corpus(root, held_out=True))
    try:
        model = FloatModel(arguments.folder)
        metrics = measure_folder(arguments.folder, training, held_out, model, sample_tokens=arguments.sample_tokens)
    except (NexusError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({key: value for key, value in metrics.items() if key != "window_hits"}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
