"""Experts against transformers on random weights: logits, choices, both layouts of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from nexus_chain.engine.engine import Engine
from nexus_chain.engine.trace import TraceExecutor
from nexus_chain.program import IntegerModel, Sampling, import_checkpoint, prove_no_overflow
from nexus_chain.program.blocks import down_chunks
from nexus_chain.program.errors import CheckpointLayoutError, NonFiniteWeightError, RecipeError, TensorMismatchError
from nexus_chain.program.recipe import Recipe
from tests.program.test_hugging_face import FILE, edit_config, edit_tensors
from tests.support.random_checkpoints import TOKENS, assert_close, checkpoint, float_logits

EXPERT = "model.layers.1.block_sparse_moe.experts.2.w3.weight"
STACK = "model.layers.1.mlp.experts.gate_up_proj"
VARIANTS: dict[str, dict[str, Any]] = {
    "two_of_four": {"num_local_experts": 4, "num_experts_per_tok": 2},
    # The whole row hangs on one choice: with one layer a near tie spoils its own row only.
    "one_of_three": {"num_local_experts": 3, "num_experts_per_tok": 1, "num_hidden_layers": 1},
    "all_of_two": {"num_local_experts": 2, "num_experts_per_tok": 2},
    "window": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 7, "num_hidden_layers": 1},
    "chunked_down": {"num_local_experts": 3, "intermediate_size": 8256, "num_hidden_layers": 1},
}


def mixtral(folder: Path, **changes: Any) -> PreTrainedModel:
    return checkpoint(folder, "mixtral", **{**VARIANTS["two_of_four"], **changes})


def traced(model: IntegerModel) -> dict[str, torch.Tensor]:
    return TraceExecutor(Engine(model.program, model.weights)).run(TOKENS, 1, Sampling())


def router_logits(model: PreTrainedModel) -> list[torch.Tensor]:
    """Logits f64[T, experts] of every layer's router."""
    with torch.no_grad():
        found = model(TOKENS[None].long(), output_router_logits=True).router_logits
    return [logits.double() for logits in found]


def same_experts(logits: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """bool[T]: the slots hold the largest logits, in order; where they do not, it must be a near tie."""
    slots = index.shape[1]
    best, expected = logits.topk(min(slots + 1, logits.shape[1]), dim=1)
    same = (index.long() == expected[:, :slots]).all(dim=1)
    margin = (best[:, :-1] - best[:, 1:]).amin(dim=1) if best.shape[1] > 1 else torch.full_like(best[:, 0], 1e9)
    assert float(margin[~same].amax() if not bool(same.all()) else 0.0) < 0.1 * float(logits.std())
    return same


@pytest.mark.parametrize("variant", VARIANTS)
def test_imported_logits_and_choices_are_those_of_transformers(tmp_path: Path, variant: str) -> None:
    original = checkpoint(tmp_path, "mixtral", **VARIANTS[variant])
    model = import_checkpoint(tmp_path)
    trace, agreeing = traced(model), torch.ones(len(TOKENS), dtype=torch.bool)
    for layer, logits in enumerate(router_logits(original)):
        index, gate = (trace[f"layers.{layer}.mlp.route.{name}"] for name in ("index", "gate"))
        same = same_experts(logits, index)
        weights = logits.gather(1, index.long()).softmax(dim=1)
        assert float((gate.double() / 2**16 - weights)[same].abs().max()) < 0.05
        agreeing &= same
    assert float(agreeing.double().mean()) > 0.85
    assert_close(float_logits(original)[agreeing], (trace["head.logits"].double() / 4096)[agreeing])
    assert prove_no_overflow(model.program).bits <= 63


def test_choosing_other_experts_is_another_model(tmp_path: Path) -> None:
    """The comparison above would see a router that is read wrongly."""
    expected = float_logits(mixtral(tmp_path))
    edit_tensors(
        tmp_path, lambda tensors: tensors.update({name: t.flip(0) for name, t in tensors.items() if ".gate." in name})
    )
    found = traced(import_checkpoint(tmp_path))["head.logits"].double() / 4096
    assert float((expected - found).pow(2).mean().sqrt()) > 0.3 * float(expected.std())


def test_stacked_experts_are_the_separate_ones(tmp_path: Path) -> None:
    model = mixtral(tmp_path / "separate")
    model.save_pretrained(tmp_path / "stacked", save_original_format=False)
    assert EXPERT in load_file(tmp_path / "separate" / FILE)
    assert load_file(tmp_path / "stacked" / FILE)[STACK].shape == (4, 320, 64)
    separate, stacked = (import_checkpoint(tmp_path / name) for name in ("separate", "stacked"))
    assert separate.program.ops == stacked.program.ops
    assert all(torch.equal(stacked.weights[name], tensor) for name, tensor in separate.weights.items())


def test_every_expert_is_a_set_of_weights_of_its_own(tmp_path: Path) -> None:
    mixtral(tmp_path)
    model = import_checkpoint(tmp_path)
    names = [
        f"layers.1.mlp.experts.2.{part}.{kind}" for part in ("gate", "up", "down.0") for kind in ("weight", "scale")
    ]
    assert set(names) <= set(model.weights)
    before = dict(model.weights)
    edit_tensors(tmp_path, lambda tensors: tensors[EXPERT].mul_(-1))
    after = import_checkpoint(tmp_path).weights
    changed = [name for name, tensor in before.items() if not torch.equal(after[name], tensor)]
    assert changed == ["layers.1.mlp.experts.2.up.weight"]


def test_smoothing_divides_every_expert_by_itself(tmp_path: Path) -> None:
    """In exact arithmetic nothing changes; here rows change their rounding and logits stay close."""
    expected = float_logits(mixtral(tmp_path))
    smoothing = {f"0.experts.{expert}": tuple((channel + expert) % 2 for channel in range(160)) for expert in range(4)}
    model = import_checkpoint(tmp_path, recipe=Recipe(smoothing=smoothing, wider=("1.mlp_input",)))
    assert_close(expected, traced(model)["head.logits"].double() / 4096)
    assert {op.params["bits"] for op in model.program.ops if op.name.startswith("layers.1.mlp.slots.0.gate")} == {15}


@pytest.mark.parametrize("variant", ["two_of_four", "chunked_down"])
def test_an_experts_exponents_are_in_its_own_rows_and_columns(tmp_path: Path, variant: str) -> None:
    original = checkpoint(tmp_path, "mixtral", **VARIANTS[variant])
    plain = import_checkpoint(tmp_path)
    ffn, generator = plain.program.shape.ffn, torch.Generator().manual_seed(6)
    exponents = torch.randint(-3, 4, (ffn,), generator=generator)
    recipe = Recipe(smoothing={"0.experts.1": tuple(exponents.tolist())})
    smoothed = import_checkpoint(tmp_path, recipe=recipe)
    assert smoothed.program == plain.program
    prefix = "layers.0.mlp.experts.1"
    changed = [name for name, tensor in plain.weights.items() if not torch.equal(smoothed.weights[name], tensor)]
    assert {name.split(".down.")[0] for name in changed} == {f"{prefix}.up.scale", prefix}
    before, after = (model.weights[f"{prefix}.up.scale"] for model in (plain, smoothed))
    assert torch.equal(after, before + torch.stack([torch.zeros(ffn), exponents], dim=1).int())
    wanted = original.model.layers[0].mlp.experts.down_proj[1].detach().double() / torch.exp2(exponents.double())
    for number, (start, stop) in enumerate(down_chunks(ffn)):
        rows = smoothed.weights[f"{prefix}.down.{number}.weight"].double()
        part = wanted[:, start:stop]
        assert torch.equal(rows, (part / part.abs().amax(dim=1, keepdim=True) * 127).round())


def test_exponents_shared_by_experts_are_refused(tmp_path: Path) -> None:
    mixtral(tmp_path)
    for group in ("0.mlp", "0.experts.4", "2.experts.0"):
        with pytest.raises(RecipeError, match=f"no channels named {group}"):
            import_checkpoint(tmp_path, recipe=Recipe(smoothing={group: (0,) * 160}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_local_experts": 65}, "65 experts are not between 1 and 64"),
        ({"num_local_experts": 0}, "0 experts"),
        ({"num_experts_per_tok": 5}, "5 slots are not between 1 and 4"),
        ({"num_experts_per_tok": "two"}, "num_experts_per_tok .*'two' is not an integer"),
        ({"num_local_experts": None}, "num_local_experts .*None is not an integer"),
        ({"hidden_act": "gelu"}, "hidden_act of config.json is 'gelu', only 'silu'"),
    ],
)
def test_a_configuration_that_no_program_can_have_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    mixtral(tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(CheckpointLayoutError, match=message):
        import_checkpoint(tmp_path)


def test_a_missing_or_broken_expert_is_named(tmp_path: Path) -> None:
    mixtral(tmp_path)
    edit_config(tmp_path, num_local_experts=5)
    with pytest.raises(TensorMismatchError, match=r"experts\.4\.w1\.weight.* missing from the checkpoint"):
        import_checkpoint(tmp_path)
    edit_config(tmp_path, num_local_experts=4)
    edit_tensors(tmp_path, lambda tensors: tensors[EXPERT][7].fill_(float("nan")))
    with pytest.raises(NonFiniteWeightError, match=rf"{EXPERT} holds NaN or infinity in row 7"):
        import_checkpoint(tmp_path)
