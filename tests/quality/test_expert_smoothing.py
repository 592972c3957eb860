"""Quality control of experts: each one's hidden channels are smoothed by what the text makes it do, or by all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import silu

from nexus_chain.program import ModelShape, Recipe, import_checkpoint
from nexus_chain.program.blocks import LAYER_INPUTS
from nexus_chain.quality import GATE, FloatModel, choose_recipe
from nexus_chain.quality import balance as balance_module
from nexus_chain.quality.balance import LEAST_ROWS, balance, smoothing
from nexus_chain.quality.float_model import down_projection
from tests.support.outliers import plant
from tests.support.random_checkpoints import SIZES, checkpoint
from tests.support.small_mixtral import train

Trained = tuple[Path, list[Tensor], ModelShape]
WINDOWS = list(torch.randint(0, SIZES["vocab_size"], (8, 65), generator=torch.Generator().manual_seed(2)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    windows = train(folder)
    return folder, windows, import_checkpoint(folder).program.shape


def without_experts(recipe: Recipe, layers: int) -> Recipe:
    """``recipe`` with every other means there is, but no smoothing of experts."""
    kept = {group: exponents for group, exponents in recipe.smoothing.items() if ".experts." not in group}
    wider = tuple(f"{layer}.{family}" for layer in range(layers) for family in LAYER_INPUTS)
    return replace(recipe, smoothing=kept, wider=wider)


@pytest.mark.parametrize(("what", "attempts"), [("mlp", 2), ("gains", 1), ("everything", 2)])
def test_the_gate_holds_in_spite_of_outliers(trained: Trained, tmp_path: Path, what: str, attempts: int) -> None:
    folder, windows, shape = trained
    plant(folder, tmp_path / "planted", what, shape)
    tried = list[str]()
    choice = choose_recipe(tmp_path / "planted", windows, GATE, tried=tried.append)
    assert choice.comparison.relative_increase <= GATE
    assert choice.comparison.top1_agreement > 0.97
    # Gains are folded into the router and the experts as into any matrix, which cancels what was planted.
    assert len(tried) == attempts
    assert not choice.recipe.wider


@pytest.mark.parametrize("what", ["mlp", "everything"])
def test_without_smoothing_of_experts_it_does_not(trained: Trained, tmp_path: Path, what: str) -> None:
    folder, windows, shape = trained
    plant(folder, tmp_path / "planted", what, shape)
    found = smoothing(FloatModel(tmp_path / "planted"), shape, windows)
    recipe = without_experts(Recipe(smoothing=found), shape.layers)
    choice = choose_recipe(tmp_path / "planted", windows, GATE, start=recipe, fixed=True)
    assert choice.comparison.relative_increase > 2 * GATE


def test_a_text_that_hardly_uses_experts_smooths_them_for_others(trained: Trained, tmp_path: Path) -> None:
    folder, windows, shape = trained
    plant(folder, tmp_path / "planted", "mlp", shape)
    short = [windows[0][: LEAST_ROWS + 1]]  # so whichever rows choose an expert, all of them count
    recipe = Recipe(smoothing=smoothing(FloatModel(tmp_path / "planted"), shape, short))
    choice = choose_recipe(tmp_path / "planted", windows, GATE, start=recipe, fixed=True)
    assert choice.comparison.relative_increase <= GATE


class Observed:
    """A random layer of experts: what a text makes each of them do, from the checkpoint's own tensors."""

    def __init__(self, folder: Path, change: Callable[[Any], None] = lambda layer: None, **changes: Any) -> None:
        self.saved = checkpoint(folder, "mixtral", num_hidden_layers=1, **changes)
        with torch.no_grad():
            change(self.saved.model.layers[0])
        self.saved.save_pretrained(folder)
        self.tensors = load_file(folder / "model.safetensors")
        self.shape = import_checkpoint(folder).program.shape
        self.model = FloatModel(folder)
        entering = list[Tensor]()
        self.model.observe(WINDOWS, {}, {"model.layers.0.post_attention_layernorm": entering.append})
        self.rows = torch.cat(entering)
        logits = self.rows @ self.matrix("gate").T
        self.chosen = logits.topk(self.shape.experts_per_token, dim=1).indices

    def matrix(self, name: str) -> Tensor:
        return self.tensors[f"model.layers.0.block_sparse_moe.{name}.weight"]

    def uses(self, expert: int) -> int:
        return int((self.chosen == expert).any(dim=1).sum())

    def exponents(self, expert: int, routed: bool) -> tuple[int, ...]:
        rows = self.rows[(self.chosen == expert).any(dim=1)] if routed else self.rows
        gate, up, down = (self.matrix(f"experts.{expert}.{name}") for name in ("w1", "w3", "w2"))
        hidden = silu(rows @ gate.T) * (rows @ up.T)
        return balance(hidden.abs().amax(dim=0).double(), down.abs().amax(dim=0).double())

    def smoothing(self) -> dict[str, tuple[int, ...]]:
        return smoothing(self.model, self.shape, WINDOWS)


def outlier(layer: Any) -> None:
    """Channel 3 of expert 2 is made 64 times as large, and divided by as much where it is read."""
    layer.mlp.experts.gate_up_proj[2, SIZES["intermediate_size"] + 3] *= 64
    layer.mlp.experts.down_proj[2, :, 3] /= 64


def never_chosen(layer: Any) -> None:
    """The logit of expert 2 is 0, and one of the others is positive."""
    outlier(layer)
    router = layer.mlp.gate.weight
    router[1], router[2] = -router[0], 0


def test_experts_are_balanced_by_the_rows_that_choose_them(tmp_path: Path) -> None:
    observed = Observed(tmp_path, outlier, num_local_experts=4)
    found = observed.smoothing()
    for expert in range(4):
        assert LEAST_ROWS <= observed.uses(expert) < len(observed.rows)
        assert found[f"0.experts.{expert}"] == observed.exponents(expert, routed=True)
        assert found[f"0.experts.{expert}"] != observed.exponents(expert, routed=False)
    assert found["0.experts.2"][3] == min(found["0.experts.2"]) <= -5


def test_an_expert_that_no_row_chooses_is_balanced_by_all_rows(tmp_path: Path) -> None:
    observed = Observed(tmp_path, never_chosen, num_local_experts=3, num_experts_per_tok=1)
    found = observed.smoothing()
    assert observed.uses(2) == 0
    assert found["0.experts.2"] == observed.exponents(2, routed=False)
    assert found["0.experts.2"][3] == min(found["0.experts.2"]) <= -5
    assert all(found[f"0.experts.{expert}"] == observed.exponents(expert, routed=True) for expert in (0, 1))


def test_one_row_decides_which_rows_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observed = Observed(tmp_path, num_local_experts=4)
    uses = [observed.uses(expert) for expert in range(4)]
    least = min(uses)
    for needed in (least, least + 1):
        monkeypatch.setattr(balance_module, "LEAST_ROWS", needed)
        found = observed.smoothing()
        expected = [observed.exponents(expert, routed=used >= needed) for expert, used in enumerate(uses)]
        assert [found[f"0.experts.{expert}"] for expert in range(4)] == expected
    assert observed.exponents(uses.index(least), True) != observed.exponents(uses.index(least), False)


def test_an_experts_down_projection_has_a_name_of_its_own(tmp_path: Path) -> None:
    observed = Observed(tmp_path, num_local_experts=3)
    for expert in range(3):
        assert torch.equal(observed.model.weight(down_projection(0, expert)), observed.matrix(f"experts.{expert}.w2"))
    assert down_projection(1, None) == "model.layers.1.mlp.down_proj"
