"""The kinds of encoders in the reference executor, one op at a time, against plain integers and real arithmetic."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.engine.reference import evaluate_row
from nexus_chain.program import Op, Sampling, TensorSpec
from nexus_chain.program.tables import exp2_table, phi_table

SAT = 2**31 - 1
SEQUENCE = (1, Sampling())
elements = st.one_of(st.integers(-SAT, SAT), st.integers(-300, 300), st.sampled_from([SAT, -SAT, -(2**31), 0]))
rows_of_six = st.lists(elements, min_size=6, max_size=6)


def op_of(kind: str, params: dict[str, int], weights: tuple[str, ...] = ()) -> Op:
    return Op(kind, kind, 0, ("x",), (TensorSpec("y", "i32", (-1, 6)),), weights, params)


def tensor(values: list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def clamp(value: int, low: int = -SAT, high: int = SAT) -> int:
    return min(max(value, low), high)


def rs(value: int, shift: int) -> int:
    amount = clamp(shift, 1, 62)
    return (value + (1 << (amount - 1))) >> amount


def normalised(x: list[int], gain: list[int], bias: list[int] | None, epsilon: int, *, centred: bool) -> list[int]:
    """One group, as ``OPERATORS.md`` writes it, in unbounded integers."""
    x = [clamp(value) for value in x]
    mean = sum(x) // len(x) if centred else 0
    y = [clamp(value - mean) for value in x]
    largest = max(1, *map(abs, y))
    bits = largest.bit_length()
    h = max(0, bits - 23)
    total = max(1, sum((value >> h) ** 2 for value in y) + (epsilon >> (2 * h)))
    t = (62 - total.bit_length()) >> 1
    root = math.isqrt(total << (2 * t))
    up, root_up = 31 - bits, 31 - root.bit_length()
    z = ((largest << up) << 16) // (root << root_up)
    m, e = (z >> 1, 1) if z >= 2**16 else (z, 0)
    e += root_up - up - 16 + t - h
    inverse = (16383 << (16 + bits)) // largest
    q = [(value * inverse + (1 << (15 + bits))) >> (16 + bits) for value in y]
    out = [clamp(rs(rs(value * m, 12) * clamp(factor), 6 - e)) for value, factor in zip(q, gain, strict=True)]
    return out if bias is None else [clamp(value + clamp(added)) for value, added in zip(out, bias, strict=True)]


@given(rows_of_six, rows_of_six, rows_of_six, st.integers(0, 2**60 - 1), st.booleans(), st.booleans())
def test_normalise_follows_its_formula(
    x: list[int], gain: list[int], bias: list[int], epsilon: int, centred: bool, biased: bool
) -> None:
    for groups, size in ((1, 6), (2, 3), (3, 2)):
        params = {"groups": groups, "size": size, "centred": centred, "epsilon": epsilon, "bias": biased}
        op = op_of("normalise", params, ("n.gain", "n.bias") if biased else ("n.gain",))
        weights = {"n.gain": tensor(gain[:size]), "n.bias": tensor(bias[:size])}
        (found,) = evaluate_row(op, {"x": [tensor(x)]}, 0, SEQUENCE, weights)
        expected = [
            value
            for start in range(0, 6, size)
            for value in normalised(
                x[start : start + size], gain[:size], bias[:size] if biased else None, epsilon, centred=centred
            )
        ]
        assert found.tolist() == expected


def test_normalise_is_layer_norm() -> None:
    generator = torch.Generator().manual_seed(2)
    x, gain, bias = (torch.randn(384, generator=generator, dtype=torch.float64) for _ in range(3))
    unit = 2.0**16
    params = {"groups": 1, "size": 384, "centred": 1, "epsilon": round(1e-12 * 384 * unit**2), "bias": 1}
    weights = {
        "n.gain": torch.round(gain * math.sqrt(384) / 16383 * 2**34).to(torch.int32),
        "n.bias": torch.round(bias * unit).to(torch.int32),
    }
    op = op_of("normalise", params, ("n.gain", "n.bias"))
    (found,) = evaluate_row(op, {"x": [torch.round(x * unit).to(torch.int64)]}, 0, SEQUENCE, weights)
    expected = torch.nn.functional.layer_norm(x, (384,), gain, bias, 1e-12)
    assert float((found / unit - expected).abs().max()) < 1e-3


@given(rows_of_six, st.lists(st.integers(-(2**15), 2**15 - 1), min_size=18, max_size=18), st.integers(0, 15))
def test_position_embed_adds_the_row_of_its_position(x: list[int], table: list[int], shift: int) -> None:
    weights = {"p.table": tensor(table).reshape(3, 6).to(torch.int16)}
    op = op_of("position_embed", {"width": 6, "shift": shift}, ("p.table",))
    (found,) = evaluate_row(op, {"x": [tensor(x)] * 3}, 2, SEQUENCE, weights)
    assert found.tolist() == [clamp(clamp(a) + (b << shift)) for a, b in zip(x, table[12:], strict=True)]


def test_gelu_reads_a_normalised_table_and_row() -> None:
    op, wild = op_of("gelu", {"width": 6}, ("tables.phi",)), phi_table()
    wild[0], wild[512] = -5, 2**30
    tame = wild.clamp(0, 2**23)
    x = [0, 63, -63, SAT, -(2**31), 2**15]
    (found,) = evaluate_row(op, {"x": [tensor(x)]}, 0, SEQUENCE, {"tables.phi": wild})
    (expected,) = evaluate_row(
        op, {"x": [tensor([max(value, -SAT) for value in x])]}, 0, SEQUENCE, {"tables.phi": tame}
    )
    assert torch.equal(found, expected)
    assert found.tolist()[3:] == [SAT, 0, 2**15]


@given(st.lists(rows_of_six, min_size=1, max_size=5))
def test_row_layout_copies_and_prefix_mean_floors_the_mean_of_every_prefix(rows: list[list[int]]) -> None:
    known = [tensor(row) for row in rows]
    for position in range(len(rows)):
        (copied,) = evaluate_row(
            op_of("row_layout", {"width": 6}), {"x": known[: position + 1]}, position, SEQUENCE, {}
        )
        assert copied.tolist() == rows[position]
        (mean,) = evaluate_row(op_of("prefix_mean", {"width": 6}), {"x": known[: position + 1]}, position, SEQUENCE, {})
        before = rows[: position + 1]
        assert mean.tolist() == [sum(map(clamp, column)) // len(before) for column in zip(*before, strict=True)]


@pytest.mark.parametrize("block", [1024, 3])
def test_attention_in_both_directions_gives_every_position_what_the_last_one_sees(block: int) -> None:
    """A causal attention sees all keys at the last position; both directions see them from everywhere."""
    generator = torch.Generator().manual_seed(5)
    names = ("q", "q_m", "q_e", "k", "k_m", "k_e", "v", "v_max")
    shapes = ((2, 4), (2,), (2,), (1, 4), (1,), (1,), (1, 4), (1,))
    ranges = ((-127, 128), (2**15, 2**16), (-12, -6)) * 2 + ((-127, 128), (1, 9000))
    rows = {
        name: [torch.randint(*bounds, shape, generator=generator) for _ in range(7)]
        for name, shape, bounds in zip(names, shapes, ranges, strict=True)
    }
    params = {"heads": 2, "kv_heads": 1, "head_dim": 4, "block": block, "scale": 66572}
    both, causal = (
        Op("attention", "a", 0, names, (TensorSpec("y", "i32", (-1, 8)),), ("tables.exp2",), {**params, "window": w})
        for w in (-1, 0)
    )
    weights = {"tables.exp2": exp2_table()}
    for position in range(7):
        (found,) = evaluate_row(both, rows, position, SEQUENCE, weights)
        moved = {
            name: [*rows[name][:6], rows[name][position]] if name.startswith("q") else rows[name] for name in names
        }
        (expected,) = evaluate_row(causal, moved, 6, SEQUENCE, weights)
        assert torch.equal(found, expected)
