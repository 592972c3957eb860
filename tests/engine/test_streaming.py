"""A shard that runs from disk under a memory limit: same bits, bounded memory, nothing unverified used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nexus_chain.commitments.errors import TamperedTensorError, TensorBlockError
from nexus_chain.commitments.tensor_block import TensorBlock, load_tensor_block, write_tensor_block
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.errors import (
    ContextExceededError,
    InvalidRowsError,
    MemoryLimitError,
    StateMismatchError,
    UnknownWeightError,
)
from nexus_chain.engine.stream_plan import StreamPlan, least_limit, plan_streaming
from nexus_chain.engine.streaming import StreamedEngine, StreamedState
from nexus_chain.program import PRESETS, ModelShape, Op, Program, TensorSpec, random_model
from nexus_chain.program.sampling import Sampling

SHAPE = ModelShape(layers=5, width=64, heads=4, kv_heads=2, head_dim=16, ffn=128, vocab=640, context=64)
MODEL = random_model(SHAPE, seed=21)
COMMITMENT = ModelCommitment.of(MODEL)
SAMPLING = Sampling(beta=50000, seed=bytes(range(32)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    block = tmp_path / "five.safetensors"
    write_tensor_block(MODEL, block, 0, SHAPE.layers, COMMITMENT)
    return block


def opened(path: Path, *, lazy: bool = True) -> TensorBlock:
    return load_tensor_block(path, COMMITMENT.weights_root, COMMITMENT.program_root, lazy=lazy)


def least(start: int = 0, end: int = SHAPE.layers) -> int:
    """The smallest limit that works for layers of the model."""
    return least_limit(MODEL.program, start, end)


def tokens(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, SHAPE.vocab, (count,), generator=generator, dtype=torch.int32)


def limit_of(block: TensorBlock, start: int = 0, end: int = SHAPE.layers) -> int:
    """The smallest limit for a block, whose pages need room too."""
    return least(start, end) + block.margin


def run(engine: Any, lengths: Collection[int] = (9, 1, 20), steps: int = 3) -> list[list[torch.Tensor]]:
    """Outputs of a ragged prefill and some steps of decoding (or of more rows, where no token comes out)."""
    states = [engine.open(length, SAMPLING, length + steps) for length in lengths]
    rows = [tokens(length, seed) for seed, length in enumerate(lengths)]
    results = []
    for _ in range(steps):
        results.append(engine.forward(list(zip(states, rows, strict=True))))
        rows = [found[-1:] for found in results[-1]]
    return results


@pytest.mark.parametrize("preset", ["tiny-experts", "tiny-encoder", "tiny-bias"])
def test_every_family_streams(tmp_path: Path, backend: Any, preset: str) -> None:
    model = random_model(PRESETS[preset], seed=3)
    path, layers = tmp_path / "block", model.program.shape.layers
    write_tensor_block(model, path, 0, layers)
    block = load_tensor_block(path, ModelCommitment.of(model).weights_root, lazy=True)
    resident = [name for name in block.weights if ".experts.2." in name]
    limit = least_limit(model.program, 0, layers, block.margin) + sum(block.weights[name].nbytes for name in resident)
    streamed = StreamedEngine(model.program, block.weights, block, limit, resident=resident, threads=2, backend=backend)
    assert streamed.plan.resident >= set(resident)
    rows = torch.arange(12, dtype=torch.int32)
    whole = Engine(model.program, model.weights, threads=2, backend=backend)
    found = [engine.forward([(engine.open(12, SAMPLING, 12), rows)])[0] for engine in (streamed, whole)]
    assert torch.equal(*found)


@pytest.mark.parametrize("extra", [0, 20_000, 60_000, 10**9])
def test_streamed_bits_are_those_of_the_engine(path: Path, backend: Any, extra: int) -> None:
    block = opened(path)
    streamed = StreamedEngine(MODEL.program, block.weights, block, limit_of(block) + extra, threads=2, backend=backend)
    expected = run(Engine(MODEL.program, MODEL.weights, threads=2, backend=backend))
    for step, wanted in zip(run(streamed), expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(step, wanted, strict=True))


def test_a_streamed_sequence_begins_as_another(path: Path, backend: Any) -> None:
    block = opened(path)
    streamed = StreamedEngine(MODEL.program, block.weights, block, limit_of(block), threads=2, backend=backend)
    first, second = tokens(12, 1), tokens(12, 2)
    second[:7] = first[:7]
    donor, alone, heir = (streamed.open(12, SAMPLING, 20) for _ in range(3))
    streamed.forward([(donor, first)])
    expected = streamed.forward([(alone, second)])[0]
    streamed.begin_as(heir, donor, 7)
    assert torch.equal(streamed.forward([(heir, second[7:])])[0], expected)


def test_a_segment_in_the_middle_streams_too(tmp_path: Path, backend: Any) -> None:
    path = tmp_path / "middle.safetensors"
    write_tensor_block(MODEL, path, 1, 4, COMMITMENT)
    block, rows = opened(path), torch.arange(7 * SHAPE.width, dtype=torch.int32).view(7, -1) * 37 - 5000
    streamed = StreamedEngine(
        MODEL.program, block.weights, block, limit_of(block, 1, 4), 1, 4, threads=2, backend=backend
    )
    whole = Engine(MODEL.program, MODEL.weights, 1, 4, threads=2, backend=backend)
    found = [engine.forward([(engine.open(7, SAMPLING, 7), rows)])[0] for engine in (streamed, whole)]
    assert torch.equal(*found)


class Pages:
    """Counts what is in memory instead of asking the kernel."""

    margin = 0

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.peak = 0
        self.fetched: list[str] = []

    def prefetch(self, names: Collection[str]) -> None:
        self.held |= set(names)
        self.fetched += names
        self.peak = max(self.peak, sum(MODEL.program.weight_specs[name].nbytes for name in self.held))

    def release(self, names: Collection[str]) -> None:
        self.held -= set(names)

    def check_unchanged(self) -> None:
        pass


def settled(engine: StreamedEngine) -> None:
    """Until the background thread has done what it was told."""
    engine._worker.submit(lambda: None).result()


@pytest.mark.parametrize("extra", [0, 30_000, 60_000, 90_000])
def test_no_more_than_the_window_is_held(extra: int) -> None:
    pages = Pages()
    engine = StreamedEngine(MODEL.program, MODEL.weights, pages, least() + extra, threads=1, backend="torch")
    plan, expected = engine.plan, run(Engine(MODEL.program, MODEL.weights, threads=1, backend="torch"))
    for step, wanted in zip(run(engine), expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(step, wanted, strict=True))
    settled(engine)
    assert pages.peak <= plan.window_bytes
    assert plan.peak_bytes <= least() + extra
    assert not set(pages.fetched) & plan.resident
    # Three batches, and the first layer read ahead for a fourth where two fit.
    once = [name for layer in plan.streamed for name in layer]
    ahead = list(plan.streamed[0]) if plan.depth > 1 else []
    assert pages.fetched == once * 3 + ahead


def test_plan_uses_the_room_there_is() -> None:
    program, whole = MODEL.program, sum(spec.nbytes for spec in MODEL.program.weights)
    plans: list[StreamPlan] = [plan_streaming(program, 0, 5, least() + extra) for extra in range(0, whole, 5000)]
    assert plans[0].depth == 1
    assert {plan.depth for plan in plans} == {1, 2}
    assert plans[-1].pass_bytes == 0, "all of it fits, so nothing is streamed"
    passes = [plan.pass_bytes for plan in plans if plan.depth == 2]
    assert passes == sorted(passes, reverse=True)
    for plan in plans:
        moving = [name for layer in (*plan.streamed, *plan.gathered) for name in layer]
        assert len(moving) == len(set(moving))
        assert {*moving} | plan.resident == {spec.name for spec in program.weights}
        assert not {*moving} & plan.resident
    assert plans[0].gathered == (("embed.table",), (), (), (), ())


def test_limit_too_small_says_the_least_that_works() -> None:
    least_bytes = least()
    assert plan_streaming(MODEL.program, 0, 5, least_bytes).peak_bytes == least_bytes
    with pytest.raises(MemoryLimitError, match=f"Allow at least {least_bytes} bytes") as caught:
        plan_streaming(MODEL.program, 0, 5, least_bytes - 1)
    assert caught.value.least == least_bytes
    assert least_limit(MODEL.program, 0, 5, margin=100) == least_bytes + 100


def test_named_weights_stay(path: Path) -> None:
    chosen = "layers.2.mlp.up.weight"
    plan = plan_streaming(MODEL.program, 0, 5, least() + 20_000, [chosen])
    assert chosen in plan.resident
    with pytest.raises(UnknownWeightError, match=r"read no weight 'layers\.9"):
        plan_streaming(MODEL.program, 0, 5, 10**9, ["layers.9.mlp.up.weight"])
    with pytest.raises(UnknownWeightError):
        plan_streaming(MODEL.program, 0, 2, 10**9, [chosen])
    with pytest.raises(MemoryLimitError, match="fewer experts resident"):
        plan_streaming(MODEL.program, 0, 5, least(), [chosen])


def expert_program(experts: int) -> Program:
    """A dense matrix and ``experts`` small ones in each of two layers; only names, kinds and sizes matter."""
    ops, weights = [], []
    for layer in range(2):
        dense = TensorSpec(f"layers.{layer}.attention.weight", "i8", (10, 100))
        own = [TensorSpec(f"layers.{layer}.mlp.experts.{e}.up.weight", "i8", (30, 100)) for e in range(experts)]
        weights += [dense, *own]
        ops.append(Op("linear", f"dense.{layer}", layer, (), (), (dense.name,)))
        ops.append(Op("expert_linear", f"experts.{layer}", layer, (), (), tuple(spec.name for spec in own)))
    return Program("experts", replace(SHAPE, layers=2), tuple(ops), tuple(weights))


def test_only_resident_experts_count_against_the_limit() -> None:
    program, hot = expert_program(8), {"layers.0.mlp.experts.3.up.weight", "layers.1.mlp.experts.0.up.weight"}
    plan = plan_streaming(program, 0, 2, 2 * 3000 + 1000, hot)
    assert plan.resident == hot
    assert plan.streamed == (("layers.0.attention.weight",), ("layers.1.attention.weight",))
    assert [len(names) for names in plan.gathered] == [7, 7]
    assert plan.peak_bytes == 2 * 3000 + 1000
    with pytest.raises(MemoryLimitError):
        plan_streaming(program, 0, 2, 2 * 3000 + 999, hot)


def damage(path: Path, name: str) -> None:
    """Change one byte of a tensor in the file, keeping the file."""
    raw = path.read_bytes()
    place = raw.find(MODEL.weights[name].numpy().tobytes())
    with path.open("r+b") as file:
        file.seek(place + 70)
        file.write(bytes([raw[place + 70] ^ 1]))


def test_tampered_layer_is_refused_before_it_computes(path: Path) -> None:
    damage(path, "layers.3.mlp.gate.weight")
    block = opened(path)
    engine = StreamedEngine(MODEL.program, block.weights, block, limit_of(block), threads=1)
    state = engine.open(4, SAMPLING, 8)
    with pytest.raises(TamperedTensorError, match=r"layers\.3\.mlp\.gate\.weight"):
        engine.forward([(state, tokens(4, 1))])
    assert len(state.layers) == 3, "the layers before it ran"
    with pytest.raises(StateMismatchError, match="interrupted"):
        engine.forward([(state, tokens(1, 1))])


def test_file_that_changes_under_a_running_engine_stops_it(path: Path) -> None:
    block = opened(path)
    engine = StreamedEngine(MODEL.program, block.weights, block, limit_of(block), threads=1)
    state = engine.open(4, SAMPLING, 8)
    engine.forward([(state, tokens(4, 1))])
    damage(path, "layers.3.mlp.gate.weight")
    with pytest.raises(TensorBlockError, match="written to while it was in use"):
        engine.forward([(state, tokens(1, 1))])


def test_foreign_and_malformed_input_changes_nothing(path: Path, backend: Any) -> None:
    block = opened(path, lazy=False)
    engine = StreamedEngine(MODEL.program, block.weights, block, limit_of(block), threads=1, backend=backend)
    with pytest.raises(ContextExceededError):
        engine.open(60, SAMPLING, 65)
    state, other = engine.open(4, SAMPLING, 6), engine.open(2, SAMPLING, 6)
    before = engine.forward([(state, tokens(4, 1))])[0]
    for bad, error in (
        ([(state, torch.zeros(1, dtype=torch.int64))], InvalidRowsError),
        ([(state, tokens(3, 1))], ContextExceededError),
        ([(other, tokens(2, 1)), (other, tokens(2, 1))], StateMismatchError),
        ([(StreamedState(1, SAMPLING, 4, list(state.layers) * 2), tokens(1, 1))], StateMismatchError),
    ):
        with pytest.raises(error):
            engine.forward(bad)
    after = engine.forward([(state, before)])[0]
    whole = Engine(MODEL.program, MODEL.weights, threads=1, backend=backend)
    again = whole.open(4, SAMPLING, 6)
    assert torch.equal(whole.forward([(again, tokens(4, 1))])[0], before)
    assert torch.equal(whole.forward([(again, before)])[0], after)
    assert state.nbytes == again.nbytes
    assert state.length == again.length == 5
