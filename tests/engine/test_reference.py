"""The reference executor: independent of chunking and splitting, and equal to hand-made definitions."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.engine.errors import ContextExceededError, InvalidRowsError
from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.program import PRESETS, ActivationBits, IntegerModel, Sampling, random_model

GREEDY = Sampling()
WARM = Sampling.at_temperature(0.7, bytes(range(32)))
MODEL = random_model(PRESETS["tiny"], seed=5)
TOKENS = torch.randint(0, 640, (14,), generator=torch.Generator().manual_seed(1), dtype=torch.int32)


def outputs(
    model: IntegerModel, cuts: tuple[int, ...], chunks: list[int], prompt: int, sampling: Sampling
) -> torch.Tensor:
    """Tokens sampled when the layers are cut at ``cuts`` and the positions fed in ``chunks``."""
    ranges = pairwise(cuts)
    engines = [ReferenceExecutor(model.program, model.weights, *layers) for layers in ranges]
    states = [engine.open(prompt, sampling, len(TOKENS)) for engine in engines]
    sampled = []
    for rows in TOKENS.split(chunks):
        for engine, state in zip(engines, states, strict=True):
            (rows,) = engine.forward([(state, rows)])
        sampled.append(rows)
    return torch.cat(sampled)


@pytest.mark.parametrize("sampling", [GREEDY, WARM])
@pytest.mark.parametrize("cuts", [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)])
def test_any_split_into_segments_gives_the_whole(cuts: tuple[int, ...], sampling: Sampling) -> None:
    whole = ReferenceExecutor(MODEL.program, MODEL.weights).run(TOKENS, 6, sampling)["sample.token"]
    assert torch.equal(outputs(MODEL, cuts, [6, 8], 6, sampling), whole)
    assert whole.dtype == torch.int32
    assert len(whole) == 9


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=14), st.integers(1, 14))
def test_prefill_equals_decode_for_any_chunking(pieces: list[int], prompt: int) -> None:
    chunks: list[int] = []
    for piece in [*pieces, *[1] * 14]:
        chunks.append(min(piece, 14 - sum(chunks)))
    chunks = [chunk for chunk in chunks if chunk]
    whole = ReferenceExecutor(MODEL.program, MODEL.weights).run(TOKENS, prompt, WARM)["sample.token"]
    assert torch.equal(outputs(MODEL, (0, 3), chunks, prompt, WARM), whole)


def test_the_trace_holds_every_output_as_declared_and_does_not_depend_on_chunks() -> None:
    engine = ReferenceExecutor(MODEL.program, MODEL.weights)
    whole = engine.run(TOKENS, 6, WARM)
    assert list(whole) == [name for name in MODEL.program.tensors if name != "tokens"]
    for name, tensor in whole.items():
        assert tuple(tensor.shape) == MODEL.program.tensors[name].resolve(14, 9)
    state = engine.open(6, WARM, 14)
    for row in TOKENS.split(1):
        engine.forward([(state, row)])
    again = engine.trace(state)
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())


def test_sequences_of_one_batch_do_not_see_each_other() -> None:
    engine = ReferenceExecutor(MODEL.program, MODEL.weights)
    states = [engine.open(5, GREEDY, 14), engine.open(9, WARM, 14)]
    together = engine.forward([(states[0], TOKENS[:8]), (states[1], TOKENS.flip(0))])
    assert torch.equal(together[0], engine.run(TOKENS[:8], 5, GREEDY)["sample.token"])
    assert torch.equal(together[1], engine.run(TOKENS.flip(0), 9, WARM)["sample.token"])


@pytest.mark.parametrize("bits", [ActivationBits(8, 8, 8, 8, 8), ActivationBits(15, 15, 15, 15, 15)])
def test_every_width_runs_and_wider_rows_change_the_result_little(bits: ActivationBits) -> None:
    narrow, wide = (random_model(PRESETS["tiny"], 2, chosen) for chosen in (bits, ActivationBits()))
    logits = [
        ReferenceExecutor(model.program, model.weights).run(TOKENS[:6], 6, GREEDY)["head.logits"].double()
        for model in (narrow, wide)
    ]
    assert float(torch.corrcoef(torch.cat(logits))[0, 1]) > 0.99


def test_a_prompt_not_yet_complete_samples_nothing() -> None:
    engine = ReferenceExecutor(MODEL.program, MODEL.weights)
    state = engine.open(6, GREEDY, 14)
    (tokens,) = engine.forward([(state, TOKENS[:5])])
    assert tokens.shape == (0,)
    assert tokens.dtype == torch.int32
    (tokens,) = engine.forward([(state, TOKENS[5:6])])
    assert tokens.shape == (1,)


def with_attention(**params: int) -> IntegerModel:
    """The tiny model with other attention parameters."""
    ops = tuple(
        dataclasses.replace(op, params={**op.params, **params}) if op.kind == "attention" else op
        for op in MODEL.program.ops
    )
    return IntegerModel(dataclasses.replace(MODEL.program, ops=ops), MODEL.weights)


@pytest.mark.parametrize(("block", "window"), [(1024, 0), (4, 0), (1, 0), (1024, 5), (4, 6)])
def test_attention_is_the_softmax_mean_of_its_window_for_any_block(block: int, window: int) -> None:
    """Blocks, shifts and mantissas together stay within the quantiser's error of real arithmetic."""
    model = with_attention(block=block, window=window)
    trace = ReferenceExecutor(model.program, model.weights).run(TOKENS, 14, GREEDY)
    prefix, position = "layers.0.attention", 13
    start = position - window + 1 if window else 0
    real = {
        name: trace[f"{prefix}.{name}"].double() / 127 * (trace[f"{prefix}.{name}_max"] / 4096)[:, :, None]
        for name in "qkv"
    }
    found = trace[f"{prefix}.mixed"][position].double().reshape(4, 16) * 2.0**21 / (16256 * 127 * 4096)
    for head in range(4):
        keys, values = (real[name][start:, head // 2] for name in "kv")
        weights = torch.exp2(keys @ real["q"][position, head])
        mean = (weights / weights.sum()) @ values
        assert float((found[head] - mean).abs().max()) < 1e-3 * float(values.abs().max())


def test_tokens_outside_the_vocabulary_read_the_nearest_row() -> None:
    engine = ReferenceExecutor(MODEL.program, MODEL.weights, 0, 1)
    wild = torch.tensor([-5, 640, 2**31 - 1], dtype=torch.int32)
    tame = torch.tensor([0, 639, 639], dtype=torch.int32)
    assert torch.equal(engine.run(wild, 3, GREEDY)["embed.residual"], engine.run(tame, 3, GREEDY)["embed.residual"])


@pytest.mark.parametrize("extreme", [2**31 - 1, -(2**31), 0])
def test_every_bit_pattern_of_the_residual_has_a_result(extreme: int) -> None:
    engine = ReferenceExecutor(MODEL.program, MODEL.weights, 1, 3)
    rows = torch.full((3, 64), extreme, dtype=torch.int32)
    rows[1, ::2] = 7
    trace = engine.run(rows, 2, WARM)
    assert trace["sample.token"].shape == (2,)
    assert int(trace["layers.1.attention.norm.max"].max()) <= 2**31 - 1


def test_rows_and_capacity_are_checked_with_advice() -> None:
    engine = ReferenceExecutor(MODEL.program, MODEL.weights, 1, 2)
    state = engine.open(2, GREEDY, 3)
    with pytest.raises(InvalidRowsError, match=r"int32 \(2, 64\)"):
        engine.forward([(state, torch.zeros(2, 63, dtype=torch.int32))])
    with pytest.raises(InvalidRowsError, match="int32"):
        engine.forward([(state, torch.zeros(2, 64, dtype=torch.int64))])
    with pytest.raises(ContextExceededError, match="capacity of 3"):
        engine.forward([(state, torch.zeros(4, 64, dtype=torch.int32))])
    with pytest.raises(ContextExceededError, match="context of 64"):
        engine.open(65, GREEDY, 65)
