"""How an import's choices are made: balancing channels, ordering rows, the least that meets the gate."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nexus_chain.program import PRESETS, ActivationBits, Recipe, import_checkpoint, random_model
from nexus_chain.program.smoothing import groups
from nexus_chain.quality import Comparison, FloatModel, FloatModelError, QualityGateError, require_within, selection
from nexus_chain.quality.balance import balance, smoothing
from nexus_chain.quality.calibration import CALIBRATION_TOKENS
from nexus_chain.quality.rounding import RoundingError, relative_error, rounding_order
from nexus_chain.quality.selection import AGREEMENT, finer_steps
from tests.support.random_checkpoints import SIZES, TOKENS, checkpoint, float_logits

WINDOWS = [torch.randint(0, SIZES["vocab_size"], (33,), generator=torch.Generator().manual_seed(2))]
WIDENED = ("attention_input", "attention_output", "mlp_input")
ORDER = ["1.mlp_input", "0.attention_input", "0.mlp_input", "1.attention_input", "0.attention_output"]


def test_an_outlier_is_shared_between_what_makes_and_what_reads_it() -> None:
    ones = torch.ones(5, dtype=torch.float64)
    made = torch.tensor([1.0, 256.0, 1.0, 1 / 64, 0.0], dtype=torch.float64)
    assert balance(made, ones) == (0, -4, 0, 3, 0)
    assert balance(ones, made) == (0, 4, 0, -3, 0)
    assert balance(8 * made, ones) == (0, -4, 0, 3, 0)  # the median channel stays as it is


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mixtral"])
def test_every_group_of_a_decoder_is_smoothed(tmp_path: Path, family: str) -> None:
    checkpoint(tmp_path, family, head_dim=16)
    model = import_checkpoint(tmp_path)
    found = smoothing(FloatModel(tmp_path), model.program.shape, WINDOWS)
    assert {group: len(exponents) for group, exponents in found.items()} == groups(model.program.shape)
    assert any(any(exponents) for exponents in found.values())


def test_rows_with_an_outlier_are_widened_first(tmp_path: Path) -> None:
    model = checkpoint(tmp_path)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3] *= 500
        model.model.layers[1].mlp.down_proj.weight[:, 3] /= 500
    model.save_pretrained(tmp_path)
    shape = import_checkpoint(tmp_path).program.shape
    recipe = Recipe(ActivationBits(8, 8, 8, 8, 8), wider=("0.attention_output",))
    order = rounding_order(FloatModel(tmp_path), shape, recipe, WINDOWS)
    assert order[0] == "1.down"
    assert len(order) == 2 * 4 - 1
    assert "0.attention_output" not in order


def test_hidden_rows_of_all_experts_are_widened_together(tmp_path: Path) -> None:
    model = checkpoint(tmp_path, "mixtral", num_local_experts=3)
    with torch.no_grad():
        experts = model.model.layers[1].mlp.experts
        experts.gate_up_proj[2, SIZES["intermediate_size"] + 3] *= 500
        experts.down_proj[2, :, 3] /= 500
    model.save_pretrained(tmp_path)
    shape = import_checkpoint(tmp_path).program.shape
    order = rounding_order(FloatModel(tmp_path), shape, Recipe(ActivationBits(8, 8, 8, 8, 8)), WINDOWS)
    assert order[0] == "1.down"
    assert sorted(order) == [f"{layer}.{name}" for layer in range(2) for name in (*WIDENED[:2], "down", "mlp_input")]
    narrow = rounding_order(FloatModel(tmp_path), shape, Recipe(), WINDOWS)
    assert sorted(narrow) == [f"{layer}.{name}" for layer in range(2) for name in WIDENED]


def test_what_experts_lose_is_weighed_by_the_size_of_their_rows() -> None:
    ones = torch.ones(2, dtype=torch.float64)
    large, small, silent = (RoundingError(ones, ones, error, size) for error, size in ((3.0, 9.0), (1.0, 1.0), (0, 0)))
    assert relative_error(large, small) == 0.4
    assert relative_error(large, silent) == 3 / 9
    assert relative_error(silent) == 0.0


def test_smoothed_rows_are_rounded_as_they_will_be() -> None:
    rows = torch.tensor([[100.0, 0.3, 0.2]])
    ones = torch.ones(3, dtype=torch.float64)
    plain, smoothed = RoundingError(ones, ones), RoundingError(torch.tensor([0.01, 1.0, 1.0]).double(), ones)
    for error in (plain, smoothed):
        error(rows)
    assert plain.size == pytest.approx(smoothed.size)
    assert relative_error(smoothed) < relative_error(plain) / 2 or plain.error > smoothed.error


class Stage:
    """Imports and measurements that only count widened rows: each of the first ``needed`` takes off a share.

    Matrices in two parts do as well as all of these rows where ``parted`` of them are there; ``agreement`` is that of
    every attempt which is within the gate.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, needed: int, parted: int = 99, agreement: float = 0.98) -> None:
        self.attempts: list[Recipe] = []
        self.windows: list[int] = []
        self.needed, self.parted, self.agreement = needed, parted, agreement
        program = random_model(PRESETS["tiny"]).program
        replaced: dict[str, Any] = {
            "import_checkpoint": lambda path, recipe: SimpleNamespace(program=program, recipe=recipe),
            "compare": lambda model, real, windows: self.compare(model.recipe, len(windows)),
            "FloatModel": lambda path: None,
            "measure": lambda model, windows, unit: SimpleNamespace(best=[0] * 100 * len(windows)),
            "smoothing": lambda model, shape, windows: {"0.mlp": (1,)},
            "rounding_order": lambda model, shape, recipe, windows: ORDER,
        }
        for name, value in replaced.items():
            monkeypatch.setattr(selection, name, value)

    def compare(self, recipe: Recipe, windows: int) -> Comparison:
        self.attempts.append(recipe)
        self.windows.append(windows)
        missing = self.needed - len(recipe.wider) + (0 if recipe.smoothing else 1)
        missing = 0 if len(recipe.finer) >= self.parted else max(0, missing)
        return Comparison(10.0, 10.0 * (1 + 0.004 + 0.01 * missing), self.agreement - 0.01 * missing, 100 * windows)


@pytest.mark.parametrize("needed", [1, 2, 3, 4, 5])
def test_as_few_rows_are_widened_as_will_do(monkeypatch: pytest.MonkeyPatch, needed: int) -> None:
    stage = Stage(monkeypatch, needed)
    choice = selection.choose_recipe(Path(), [], 0.005)
    assert choice.recipe.wider == tuple(sorted(ORDER[:needed]))
    assert choice.recipe.smoothing == {"0.mlp": (1,)}
    assert choice.comparison.relative_increase == pytest.approx(0.004)
    assert len(stage.attempts) <= 6


def test_the_best_attempt_comes_back_where_nothing_meets_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    Stage(monkeypatch, 9)
    choice = selection.choose_recipe(Path(), [], 0.005)
    assert set(choice.recipe.wider) == set(ORDER)
    with pytest.raises(QualityGateError, match=r"\+4.40% against float32, past the gate of \+0.50%"):
        require_within(choice.comparison.relative_increase, 0.005)


@pytest.mark.parametrize(("parted", "steps"), [(7, 1), (13, 2), (16, 3), (19, 4), (22, 5)])
def test_as_few_matrices_have_two_parts_as_will_do(monkeypatch: pytest.MonkeyPatch, parted: int, steps: int) -> None:
    stage = Stage(monkeypatch, 9, parted)
    choice = selection.choose_recipe(Path(), [], 0.005)
    shape = PRESETS["tiny"]
    expected = list(finer_steps(shape))[steps - 1]
    assert choice.recipe == Recipe(ActivationBits(15, 15, 15, 15, 15), finer=expected)
    assert [len(recipe.finer) for recipe in stage.attempts][-steps:] == [len(f) for f in finer_steps(shape)][:steps]


def test_agreement_decides_where_perplexity_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 0, agreement=AGREEMENT - 0.001)
    selection.choose_recipe(Path(), [], 0.02)
    assert len(stage.attempts) == 3 + len(list(finer_steps(PRESETS["tiny"])))
    stage = Stage(monkeypatch, 0, agreement=AGREEMENT + 0.01)
    assert selection.choose_recipe(Path(), [], 0.02).recipe == Recipe()
    assert len(stage.attempts) == 1


def test_what_is_far_off_is_measured_on_the_first_windows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 5)
    choice = selection.choose_recipe(Path(), WINDOWS * 8, 0.005)
    assert choice.comparison.tokens == 800
    far = [windows for recipe, windows in zip(stage.attempts, stage.windows, strict=True) if len(recipe.wider) < 3]
    assert set(far) == {2}
    assert stage.windows.count(8) < len(stage.windows) / 2


def test_the_figures_of_what_is_far_off_are_those_of_every_window(monkeypatch: pytest.MonkeyPatch) -> None:
    Stage(monkeypatch, 30)
    choice = selection.choose_recipe(Path(), WINDOWS * 8, 0.005)
    assert choice.comparison.relative_increase > 0.02
    assert choice.comparison.tokens == 800


def test_experts_have_no_matrices_in_two_parts() -> None:
    names = [name for step in finer_steps(PRESETS["tiny-experts"]) for name in step]
    assert {name.rpartition(".")[2] for name in names} == {"head", "query", "key", "value", "output"}


def test_an_increase_that_is_no_number_is_past_every_gate() -> None:
    require_within(-0.1, 0.0)
    with pytest.raises(QualityGateError):
        require_within(float("nan"), 100.0)


def test_a_float_model_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    with pytest.raises(FloatModelError, match="transformers cannot load"):
        FloatModel(tmp_path)
    assert CALIBRATION_TOKENS > 1000


@pytest.mark.parametrize(
    "changes",
    [
        {"attn_implementation": "flash_attention_2"},
        {"_attn_implementation": "flash_attention_2"},
        {"pad_token_id": 32_000},
        {"return_dict": False},
        {"use_cache": None, "initializer_range": None, "bos_token_id": "1"},
    ],
)
def test_what_changes_nothing_of_the_network_stops_no_comparison(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Regression: a field that both sides may ignore ended a measured import with a traceback of transformers."""
    real = checkpoint(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
    assert torch.equal(FloatModel(tmp_path).logits(TOKENS).double(), float_logits(real))


def test_a_mistral_whose_layers_all_see_everything_needs_no_window(tmp_path: Path) -> None:
    real = checkpoint(tmp_path, "mistral", sliding_window=None)
    config = json.loads((tmp_path / "config.json").read_text())
    layers = {"layer_types": ["full_attention"] * 2, "model_type": "ministral"}
    (tmp_path / "config.json").write_text(json.dumps({**config, **layers, "architectures": ["MinistralForCausalLM"]}))
    assert torch.equal(FloatModel(tmp_path).logits(TOKENS).double(), float_logits(real))
