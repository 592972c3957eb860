"""Routing and expert products: the reference against plain arithmetic, for any bit pattern of its reads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.engine.reference import evaluate_row
from nexus_chain.program import POSITIONS, Op, Sampling, TensorSpec
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
