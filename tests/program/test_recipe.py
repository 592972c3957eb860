"""Recipes: choices recorded and followed again; smoothing changes nothing but rounding; nonsense is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nexus_chain.program import ActivationBits, IntegerModel, ModelShape, Recipe, import_checkpoint, memory_check
from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.descriptors import role_of
from nexus_chain.program.errors import NotEnoughMemoryError, RecipeError
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.program.smoothing import Smoothing, groups
from tests.program.test_families import integer_logits
from tests.support.random_checkpoints import checkpoint, float_logits

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "multi_head": ("mistral", {"num_key_value_heads": 4, "sliding_window": 9}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 32, "attention_bias": True}),
    "chunked_down": ("llama", {"intermediate_size": 8320, "num_hidden_layers": 1}),
}


def random_smoothing(shape: ModelShape, largest: int) -> dict[str, tuple[int, ...]]:
    generator = torch.Generator().manual_seed(8)
    draw = lambda size: torch.randint(-largest, largest + 1, (size,), generator=generator).tolist()  # noqa: E731
    return {group: tuple(draw(size)) for group, size in groups(shape).items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_smoothing_changes_nothing_but_rounding(tmp_path: Path, variant: str) -> None:
    family, changes = VARIANTS[variant]
    expected = float_logits(checkpoint(tmp_path, family, **changes))
    plain = import_checkpoint(tmp_path)
    # Smoothing that is not needed costs precision, so rows are wide here and the bound is not an import's.
    recipe = Recipe(ActivationBits(15, 15, 15, 15, 15), smoothing=random_smoothing(plain.program.shape, 1))
    smoothed = import_checkpoint(tmp_path, recipe=recipe)
    error = float((integer_logits(smoothed) - expected).pow(2).mean().sqrt()) / float(expected.std())
    assert error < 0.08
    changed = {name for name, tensor in plain.weights.items() if not torch.equal(tensor, smoothed.weights[name])}
    projections = {name.split(".", 2)[2].rsplit(".", 1)[0] for name in changed if name.startswith("layers.0.")}
    rotated = (
        {"attention.query_norm", "attention.key_norm"} if family == "qwen3" else {"attention.query", "attention.key"}
    )
    assert rotated | {"attention.value", "attention.output", "mlp.up", "mlp.down.0"} <= projections


@pytest.mark.parametrize(
    ("group", "side", "half"), [("mlp", "read", "down"), ("value", "read", "output"), ("rotary", "made", "query")]
)
def test_smoothing_on_one_side_alone_is_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, side: str, half: str
) -> None:
    """So the test above would see a factor that is forgotten, or goes the wrong way."""
    expected = float_logits(checkpoint(tmp_path))
    shape = import_checkpoint(tmp_path).program.shape
    kept = {name: channels for name, channels in random_smoothing(shape, 2).items() if name.endswith(group)}
    whole = getattr(Smoothing, side)
    monkeypatch.setattr(
        Smoothing, side, lambda self, layer, name, *expert: whole(self, layer, name) ** (0 if name == half else 1)
    )
    found = integer_logits(import_checkpoint(tmp_path, recipe=Recipe(smoothing=kept)))
    assert float((found - expected).pow(2).mean().sqrt()) > 0.3 * float(expected.std())


def test_named_rows_are_wider(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    recipe = Recipe(ActivationBits(8, 8, 8, 8, 8), wider=("0.mlp_input", "1.attention_output", "1.down"))
    program = import_checkpoint(tmp_path, recipe=recipe).program
    wide = {op.name for op in program.ops if op.kind == "linear" and op.params["bits"] == 15}
    assert wide == {"layers.0.mlp.gate", "layers.0.mlp.up", "layers.1.attention.output", "layers.1.mlp.down.0"}


def test_a_recorded_recipe_is_followed(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    shape = import_checkpoint(tmp_path).program.shape
    recipe = Recipe(ActivationBits(15, 8, 8, 15, 15), ("1.mlp_input",), random_smoothing(shape, 3), ("0.value", "1.up"))
    (tmp_path / RECIPE_FILE).write_text(recipe.to_json())
    assert Recipe.of_folder(tmp_path) == recipe
    recorded, given = import_checkpoint(tmp_path), import_checkpoint(tmp_path, recipe=recipe)
    assert recorded.program == given.program
    assert all(torch.equal(recorded.weights[name], tensor) for name, tensor in given.weights.items())
    narrow = import_checkpoint(tmp_path, widths=ActivationBits())
    assert narrow.program.shape == shape
    assert torch.equal(narrow.weights["layers.0.mlp.up.scale"], given.weights["layers.0.mlp.up.scale"])


@pytest.mark.parametrize("matrix", ["query", "value", "output", "gate", "down"])
def test_a_matrix_in_two_parts_is_the_checkpoints(tmp_path: Path, matrix: str) -> None:
    """The first part is the matrix as it is rounded; with the second, what is left is below 1/50 000 of its row."""
    checkpoint(tmp_path)
    plain, finer = import_checkpoint(tmp_path), import_checkpoint(tmp_path, recipe=Recipe(finer=(f"1.{matrix}",)))
    same = [name for name in plain.weights if torch.equal(plain.weights[name], finer.weights[name])]
    assert same == list(plain.weights)
    (op,) = (op for op in finer.program.ops if role_of(op).remainder)
    name = op.name.removesuffix(".remainder")
    first, rest = (values(finer, part) for part in (name, op.name))
    largest = first.abs().amax(dim=1)
    assert bool((rest.abs().amax(dim=1) <= largest / 250).all())
    module = {"gate": "mlp.gate_proj", "down": "mlp.down_proj"}.get(matrix, f"self_attn.{matrix[0]}_proj")
    real = load_file(tmp_path / "model.safetensors")[f"model.layers.1.{module}.weight"].double()
    assert real.shape == first.shape
    if matrix == "down":  # nothing is folded in, so rows differ by the unit of the input alone
        unit = 2.0**-12 / 16383
        assert bool(((first + rest - real * unit).abs().amax(dim=1) < largest / 50_000).all())


def values(model: IntegerModel, name: str) -> torch.Tensor:
    """The matrix that int8 rows and their scales stand for, f64[N, K]."""
    scale = model.weights[f"{name}.scale"].double()
    return model.weights[f"{name}.weight"].double() * (scale[:, 0] * torch.exp2(scale[:, 1]))[:, None]


def test_recipes_without_finer_matrices_keep_their_bytes() -> None:
    assert "finer" not in Recipe().to_json()
    assert Recipe.from_json(Recipe().to_json()) == Recipe()
    finer = Recipe(finer=("3.value",))
    assert Recipe.from_json(finer.to_json()) == finer


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(wider=("2.mlp_input",)), "no rows named 2.mlp_input"),
        (Recipe(wider=("0.head",)), "no rows named 0.head"),
        (Recipe(finer=("2.value",)), "no matrix 2.value that could have two parts"),
        (Recipe(finer=("0.head",)), "no matrix 0.head that could have two parts"),
        (Recipe(smoothing={"0.gate": (1,)}), "no channels named 0.gate"),
        (Recipe(smoothing={"1.mlp": (1, 2)}), "1.mlp has 2 channels, the model has 160"),
    ],
)
def test_a_recipe_of_another_model_is_refused(tmp_path: Path, recipe: Recipe, message: str) -> None:
    checkpoint(tmp_path)
    with pytest.raises(RecipeError, match=message):
        import_checkpoint(tmp_path, recipe=recipe)


GOOD = json.loads(Recipe(smoothing={"0.mlp": (1, -2)}).to_json())


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "{}", "\xff", json.dumps({**GOOD, "format": "other"}), json.dumps({**GOOD, "widths": {"down": 9}}),
        json.dumps({**GOOD, "widths": {"up": 8}}), json.dumps({**GOOD, "wider": 3}), json.dumps({**GOOD, "finer": 3}),
        json.dumps({**GOOD, "smoothing": {"0.mlp": [25]}}), json.dumps({**GOOD, "smoothing": {"0.mlp": [0.5]}}),
        json.dumps({**GOOD, "smoothing": {"0.mlp": [True]}}), json.dumps({**GOOD, "smoothing": [1]}),
    ],
)  # fmt: skip
def test_a_malformed_recipe_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / RECIPE_FILE).write_text(text, encoding="latin-1")
    with pytest.raises(RecipeError, match="cannot be used"):
        Recipe.of_folder(tmp_path)


def test_too_little_memory_is_said_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:   1024 kB\n")
    monkeypatch.setattr(memory_check, "MEMORY_FILE", tmp_path / "meminfo")
    monkeypatch.setattr(Checkpoint, "blocks", None)
    monkeypatch.setattr(Checkpoint, "read", None)
    with pytest.raises(NotEnoughMemoryError, match=r"needs 0.19 GiB of memory, 0.00 GiB .* in 2 shards") as caught:
        import_checkpoint(tmp_path)
    assert "nexus model shard" in caught.value.advice


@pytest.mark.parametrize("text", ["", "MemAvailable: much\n", "nonsense"])
def test_a_system_that_does_not_say_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "meminfo").write_text(text)
    monkeypatch.setattr(memory_check, "MEMORY_FILE", tmp_path / "meminfo")
    assert memory_check.available_memory() is None
