"""Measure a trained model on held-out text and prepare its certificate.

Writes ``data.json``, ``held_out.json.gz`` and ``metrics.json`` into the model's folder; see
``nexus_chain.certificates.measurement``. Where the perplexity would be past the gate without a recipe, it writes
``recipe.json`` too. Publishing then assembles the certificate from the folder in seconds. It has to run on the Python
version whose standard library the model was trained on, and says so on any other.

    python -m scripts.runs.certify_model nexus_chain/models/python-stdlib
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
from pathlib import Path

import torch

from nexus_chain.certificates.measurement import SAMPLE_TOKENS, measure_folder
from nexus_chain.errors import NexusError
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.quality import GATE, FloatModel, choose_recipe
from nexus_chain.quality.calibration import calibration_windows
from scripts.runs.train_model import corpus


def record_recipe(folder: Path) -> None:
    """Choose smoothing and widths on the folder's held-out sample and write ``recipe.json``."""
    windows = calibration_windows(folder, Checkpoint(folder).config)
    choice = choose_recipe(folder, windows, GATE, tried=lambda line: print(line, file=sys.stderr))
    (folder / RECIPE_FILE).write_text(choice.recipe.to_json())


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
        if metrics["relative_increase"] > GATE:
            record_recipe(arguments.folder)
            metrics = measure_folder(arguments.folder, training, held_out, model, sample_tokens=arguments.sample_tokens)
    except (NexusError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({key: value for key, value in metrics.items() if key != "window_hits"}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
