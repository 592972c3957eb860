"""Routing and expert products: the reference against plain arithmetic, the engine against the reference.

The engine must read the chosen experts only: that is what lets a node map weights it has no memory for.
"""

from __future__ import annotations

import ctypes
import dataclasses
import mmap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.engine.engine import Engine
from nexus_chain.engine.reference import ReferenceExecutor, evaluate_row
from nexus_chain.engine.trace import TraceExecutor
from nexus_chain.program import POSITIONS, PRESETS, Op, Sampling, TensorSpec, random_model
from nexus_chain.program.errors import ProgramFormatError
from nexus_chain.program.tables import exp2_table

LARGEST = 2**31 - 1
START = (1, Sampling())
LOGITS = st.integers(-(2**31), 2**31 - 1)


def row(name: str, size: int) -> TensorSpec:
    return TensorSpec(name, "i32", (POSITIONS, size))


def route(logits: list[int], slots: int, table: torch.Tensor) -> tuple[list[int], list[int]]:
    """The chosen experts and their gates for one row."""
    outputs, params = (row("index", slots), row("gate", slots)), {"experts": len(logits), "slots": slots}
    op = Op("route", "route", 0, ("logits",), outputs, ("tables.exp2",), params)
    index, gate = evaluate_row(op, {"logits": [torch.tensor(logits)]}, 0, START, {"tables.exp2": table})
    return index.tolist(), gate.tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.integers(-3, 3), LOGITS), min_size=1, max_size=64), st.integers(1, 8))
def test_slots_take_the_largest_logits_and_the_lowest_index_of_a_tie(logits: list[int], slots: int) -> None:
    slots = min(slots, len(logits))
    index, gate = route(logits, slots, exp2_table())
    read = [max(logit, -(2**31) + 1) for logit in logits]
    assert index == sorted(range(len(logits)), key=lambda expert: (-read[expert], expert))[:slots]
    assert gate == sorted(gate, reverse=True)
    assert abs(sum(gate) - 2**16) <= slots


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**19), 2**19), min_size=2, max_size=64), st.integers(1, 8))
def test_gates_are_the_softmax_of_the_chosen_logits(logits: list[int], slots: int) -> None:
    slots = min(slots, len(logits))
    index, gate = route(logits, slots, exp2_table())
    power = torch.exp2(torch.tensor(logits, dtype=torch.float64)[index] / 2**15)
    assert float((torch.tensor(gate) / 2**16 - power / power.sum()).abs().max()) < 2.0**-15


def test_a_table_of_zeros_has_gates_of_zero() -> None:
    assert route([5, 9, 9], 2, torch.full((257,), -(2**31), dtype=torch.int32)) == ([1, 2], [0, 0])


ROWS, COLUMNS, EXPERTS, SLOTS = 5, 16, 3, 2


def operands(bits: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights of every expert and one row of every input."""
    draw = torch.Generator().manual_seed(bits)
    weights = {}
    for expert in range(EXPERTS):
        weights[f"{expert}.weight"] = torch.randint(-128, 128, (ROWS, COLUMNS), generator=draw, dtype=torch.int8)
        mantissas = torch.randint(2**15, 2**16, (ROWS,), generator=draw)
        weights[f"{expert}.scale"] = torch.stack([mantissas, torch.full((ROWS,), -24)], dim=1).to(torch.int32)
    shape = (2, COLUMNS) if bits == 15 else (COLUMNS,)
    rows = {
        "q": torch.randint(-127, 128, shape, generator=draw),
        "m": torch.tensor(50000),
        "e": torch.tensor(-11),
        "r": torch.randint(-(2**20), 2**20, (ROWS,), generator=draw),
    }
    return weights, rows


def expert_linear(bits: int, slot: int, combine: int, index: list[int], gate: list[int]) -> torch.Tensor:
    weights, rows = operands(bits)
    inputs = ("q", "m", "e", "index", *(("gate", "r") if combine else ()))
    params = {"rows": ROWS, "columns": COLUMNS, "bits": bits, "fraction": 16, "experts": EXPERTS, "slots": SLOTS}
    op = Op(
        "expert_linear",
        "op",
        0,
        inputs,
        (row("y", ROWS),),
        tuple(weights),
        {**params, "slot": slot, "combine": combine},
    )
    given_rows = {**rows, "index": torch.tensor(index), "gate": torch.tensor(gate)}
    (found,) = evaluate_row(op, {name: [tensor] for name, tensor in given_rows.items()}, 0, START, weights)
    return found


def linear(bits: int, expert: int) -> torch.Tensor:
    """The same product as an op that has only this expert's matrix."""
    weights, rows = operands(bits)
    names = (f"{expert}.weight", f"{expert}.scale")
    params = {"rows": ROWS, "columns": COLUMNS, "bits": bits, "fraction": 16, "bias": 0, "residual": 0}
    op = Op("linear", "op", 0, ("q", "m", "e"), (row("y", ROWS),), names, params)
    (found,) = evaluate_row(op, {name: [tensor] for name, tensor in rows.items()}, 0, START, weights)
    return found


@pytest.mark.parametrize("bits", [8, 15])
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("index", [[0, 2], [2, 1], [-7, 2**31 - 1]])
def test_an_expert_product_is_the_linear_product_of_the_chosen_expert(bits: int, slot: int, index: list[int]) -> None:
    chosen = min(max(index[slot], 0), EXPERTS - 1)
    assert torch.equal(expert_linear(bits, slot, 0, index, [0, 0]), linear(bits, chosen))
    assert bool(linear(bits, chosen).any())


@pytest.mark.parametrize("gate", [0, 1, 40000, 2**16, 2**16 + 1, -5, 2**31 - 1])
def test_combining_adds_the_gated_product_to_the_residual(gate: int) -> None:
    product, residual = linear(15, 1).tolist(), operands(15)[1]["r"].tolist()
    share = min(max(gate, 0), 2**16)
    exact = [r + (v * share + 2**15 >> 16) for r, v in zip(residual, product, strict=True)]
    expected = [min(max(value, -LARGEST), LARGEST) for value in exact]
    assert expert_linear(15, 1, 1, [0, 1], [7, gate]).tolist() == expected


def unequal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> list[str]:
    """Names of tensors in which any bit differs."""
    return [name for name in expected if not torch.equal(found[name], expected[name])]


@pytest.mark.parametrize(("experts", "slots"), [(64, 8), (3, 3), (1, 1)])
def test_any_number_of_experts_equals_the_reference(backend, experts, slots):
    shape = dataclasses.replace(PRESETS["tiny-experts"], experts=experts, experts_per_token=slots, ffn=20, layers=1)
    model, rows = random_model(shape, seed=2), torch.arange(20, dtype=torch.int32) * 7 % 128
    found = TraceExecutor(Engine(model.program, model.weights, threads=2, backend=backend)).run(rows, 5, Sampling())
    assert unequal(found, ReferenceExecutor(model.program, model.weights).run(rows, 5, Sampling())) == []


def test_more_rows_per_expert_than_the_kernel_handles_at_once_agree_between_backends():
    """Two chunks of the down projection, whose 8192 columns let 30 rows stay hot; beyond the reference's patience."""
    shape = dataclasses.replace(PRESETS["tiny-experts"], experts=2, ffn=8256, layers=1, context=160)
    model, rows = random_model(shape, seed=2), torch.arange(160, dtype=torch.int32) * 7 % 128
    native, torch_only = (
        TraceExecutor(Engine(model.program, model.weights, threads=2, backend=backend)).run(rows, 150, Sampling())
        for backend in ("native", "torch")
    )
    assert int(torch.bincount(native["layers.0.mlp.route.index"][:, 0]).min()) > 32
    assert unequal(native, torch_only) == []


def mapped(tensor: torch.Tensor) -> tuple[torch.Tensor, mmap.mmap]:
    """A copy in pages of its own, which the operating system can take away."""
    pages = mmap.mmap(-1, tensor.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    copy = torch.frombuffer(pages, dtype=tensor.dtype).view(tensor.shape)
    copy.copy_(tensor)
    return copy, pages


def resident(tensor: torch.Tensor) -> int:
    """How many of the tensor's pages are in memory."""
    found = (ctypes.c_ubyte * -(-tensor.nbytes // mmap.PAGESIZE))()
    address, size = ctypes.c_void_p(tensor.data_ptr()), ctypes.c_size_t(tensor.nbytes)
    assert ctypes.CDLL(None, use_errno=True).mincore(address, size, found) == 0
    return sum(entry & 1 for entry in found)


def test_decoding_touches_only_the_experts_that_the_row_chose(backend):
    shape = dataclasses.replace(PRESETS["tiny-experts"], width=64, ffn=64, layers=1)
    model, row = random_model(shape, seed=4), torch.tensor([77], dtype=torch.int32)
    expected = ReferenceExecutor(model.program, model.weights).run(row, 1, Sampling())
    chosen = set(expected["layers.0.mlp.route.index"].flatten().tolist())
    matrices = [name for name in model.weights if ".experts." in name and name.endswith(".weight")]
    weights, pages = dict(model.weights), {}
    for name in matrices:
        weights[name], pages[name] = mapped(model.weights[name])
    engine = Engine(model.program, weights, threads=2, backend=backend)
    unused = [name for name in matrices if int(name.split(".")[4]) not in chosen]
    assert len(unused) == 3 * (5 - 2)
    for name in unused:
        pages[name].madvise(mmap.MADV_DONTNEED)
    assert [name for name in matrices if not resident(weights[name])] == unused
    (token,) = engine.forward([(engine.open(1, Sampling(), 1), row)])
    assert torch.equal(token, expected["sample.token"])
    assert [name for name in matrices if not resident(weights[name])] == unused


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("route", {"experts": 65}, "65 experts are not between 1 and 64"),
        ("expert_linear", {"experts": 2**60}, "experts are not between 1 and 64"),
        ("expert_linear", {"experts": 0}, "0 experts"),
        ("route", {"slots": 6}, "6 slots are not between 1 and 5"),
        ("expert_linear", {"slots": 0}, "0 slots"),
        ("expert_linear", {"slot": 2}, "slot 2 is not one of 2"),
        ("expert_linear", {"slot": -1}, "slot -1"),
        ("expert_linear", {"experts": 4}, "10 weights, not"),
        ("expert_linear", {"combine": 0}, "6 inputs"),
    ],
)
def test_validation_refuses_parameters_that_index_what_is_not_there(kind, params, message):
    program = random_model(PRESETS["tiny-experts"]).program
    index = max(i for i, op in enumerate(program.ops) if op.kind == kind)
    op = dataclasses.replace(program.ops[index], params={**program.ops[index].params, **params})
    planted = dataclasses.replace(program, ops=(*program.ops[:index], op, *program.ops[index + 1 :]))
    with pytest.raises(ProgramFormatError, match=message):
        planted.validate()


def test_an_index_beyond_the_experts_reads_the_nearest_one(backend):
    """A program may route to more experts than a product has: reads are clamped, memory is not left."""
    model = random_model(PRESETS["tiny-experts"], seed=6)
    ops = tuple(
        dataclasses.replace(op, params={**op.params, "experts": 3}, weights=op.weights[:6])
        if op.kind == "expert_linear"
        else op
        for op in model.program.ops
    )
    program = dataclasses.replace(model.program, ops=ops)
    program.validate()
    rows = torch.arange(16, dtype=torch.int32)
    found = TraceExecutor(Engine(program, model.weights, threads=2, backend=backend)).run(rows, 5, Sampling())
    expected = ReferenceExecutor(program, model.weights).run(rows, 5, Sampling())
    assert int(expected["layers.0.mlp.route.index"].max()) > 2
    assert unequal(found, expected) == []
