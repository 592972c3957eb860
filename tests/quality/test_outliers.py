"""Quality control against outliers planted in the trained model: the gate still holds, bit by bit the same again."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

import nexus_chain
from nexus_chain.program import Recipe, import_checkpoint
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.quality import GATE, choose_recipe
from nexus_chain.quality.calibration import calibration_windows
from tests.support.outliers import PLANTS, plant

SHIPPED = Path(nexus_chain.__file__).parent / "models" / "python-stdlib"
WINDOWS = 2  # of 512 predictions


@cache
def windows() -> list[Tensor]:
    return calibration_windows(SHIPPED, Checkpoint(SHIPPED).config)[:WINDOWS]


@pytest.mark.parametrize("what", PLANTS)
def test_the_gate_holds_in_spite_of_outliers(tmp_path: Path, what: str) -> None:
    folder, tried = tmp_path / "planted", list[str]()
    plant(SHIPPED, folder, what, import_checkpoint(SHIPPED).program.shape)
    choice = choose_recipe(folder, windows(), GATE, tried=tried.append)
    assert choice.comparison.relative_increase <= GATE
    assert choice.comparison.top1_agreement > 0.97
    # Gains are folded into the matrices after them, which cancels what was planted; the others need smoothing.
    assert len(tried) == (1 if what == "gains" else 2)
    assert not choice.recipe.wider
    (folder / RECIPE_FILE).write_text(choice.recipe.to_json())
    assert Recipe.of_folder(folder) == choice.recipe
    again = import_checkpoint(folder)
    assert again.program == choice.model.program
    assert all(torch.equal(again.weights[name], tensor) for name, tensor in choice.model.weights.items())


def test_a_model_without_outliers_keeps_its_bits() -> None:
    choice = choose_recipe(SHIPPED, windows(), GATE)
    assert choice.recipe == Recipe()
    assert choice.comparison.relative_increase <= GATE


def test_a_fixed_recipe_is_only_measured(tmp_path: Path) -> None:
    folder = tmp_path / "planted"
    plant(SHIPPED, folder, "mlp", import_checkpoint(SHIPPED).program.shape)
    choice = choose_recipe(folder, windows()[:1], GATE, start=Recipe(), fixed=True)
    assert choice.recipe == Recipe()
    assert choice.comparison.relative_increase > GATE
