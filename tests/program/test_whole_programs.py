"""The rules of ``OPERATORS.md`` ("Whole programs"), checked on what the builders make of every kind of shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from nexus_chain.program import PRESETS, SAMPLED, ActivationBits, ModelShape, Op, Program, program_of

MADE_BY_ONE_OP = {  # inputs of a kind, and the kind whose first outputs they are, in order
    "value_layout": [(0, "value_quantise", 0), (1, "value_quantise", 1)],
    "sample": [(0, "sample_blocks", 0), (1, "sample_blocks", 1)],
    "prefix_mean": [(0, "row_layout", 0)],
    "attention": [
        (0, "rope_quantise", 0), (1, "rope_quantise", 2), (2, "rope_quantise", 3), (3, "rope_quantise", 0),
        (4, "rope_quantise", 2), (5, "rope_quantise", 3), (6, "value_layout", 0), (7, "value_layout", 1),
    ],
}  # fmt: skip
SAME_OP = {"value_layout": [(0, 1)], "sample": [(0, 1)], "attention": [(0, 1, 2), (3, 4, 5), (6, 7)]}


def broken_rules(program: Program) -> Iterator[str]:
    """Every breach of a rule, in words."""
    makers = {spec.name: op for op in program.ops for spec in op.outputs}
    if len({spec.name for spec in program.weights}) != len(program.weights):
        yield "a weight's name twice"
    yield from _cuts(program, makers)
    for op in program.ops:
        if any(SAMPLED in spec.shape for spec in op.outputs) and op.layer != program.shape.layers - 1:
            yield f"{op.name} has sampled rows before the last layer"
        yield from (f"{op.name}: {problem}" for problem in _wiring(op, makers))
        if op.kind in ("row_layout", "value_layout") and any(makers[name].layer != op.layer for name in op.inputs):
            yield f"{op.name} copies rows of another layer"


def _cuts(program: Program, makers: dict[str, Op]) -> Iterator[str]:
    ends = {op.layer: op for op in program.ops}
    starts = {op.layer: op for op in reversed(program.ops)}
    for layer in range(1, program.shape.layers):
        crossing = {name for op in program.ops if op.layer >= layer for name in op.inputs if makers[name].layer < layer}
        if [spec.name for spec in ends[layer - 1].outputs] != sorted(crossing):
            yield f"{sorted(crossing)} cross the cut before layer {layer}"
        if starts[layer].inputs[0] not in crossing:
            yield f"layer {layer} does not begin with what crosses its cut"


def _wiring(op: Op, makers: dict[str, Op]) -> Iterator[str]:
    """What an op reads as something that no op of the right kind made over the same source and columns."""
    made = {name: (makers[name], [spec.name for spec in makers[name].outputs].index(name)) for name in op.inputs[1:]}
    for place, kind, output in MADE_BY_ONE_OP.get(op.kind, []):
        maker = makers[op.inputs[place]]
        if maker.kind != kind or maker.outputs[output].name != op.inputs[place]:
            yield f"input {place} is made by {maker.kind}"
    for group in SAME_OP.get(op.kind, []):
        if len({makers[op.inputs[place]].name for place in group}) != 1:
            yield f"inputs {group} are made by several ops"
    if op.kind in ("row_squares", "quantise") and not _is_maximum(made[op.inputs[1]][0], op):
        yield "its maximum is of other rows"
    if op.kind == "norm_scale" and makers[op.inputs[1]].inputs[1] != op.inputs[0]:
        yield "its squares are of another maximum"
    if op.kind in ("linear", "expert_linear"):
        yield from _product(op, makers)


def _is_maximum(maker: Op, reader: Op) -> bool:
    columns = [(op.inputs[0], op.params["start"], op.params["stop"]) for op in (maker, reader) if "start" in op.params]
    return maker.kind == "row_max" and columns[0] == columns[1]


def _product(op: Op, makers: dict[str, Op]) -> Iterator[str]:
    row, m, e = (makers[name] for name in op.inputs[:3])
    if m is not e or m.kind not in ("row_scale", "norm_scale") or [s.name for s in m.outputs] != list(op.inputs[1:3]):
        yield "mantissa and exponent are not one scale's"
    if row.kind != "quantise" or row.inputs[1] != m.inputs[0]:
        yield "its row was divided by another maximum than its scale's"
    if op.kind == "expert_linear":
        route = makers[op.inputs[3]]
        wanted = [route.outputs[0].name, route.outputs[1].name][: 1 + op.params["combine"]]
        sizes = [(one.params["experts"], one.params["slots"]) for one in (route, op) if "slots" in one.params]
        if route.kind != "route" or list(op.inputs[3 : 3 + len(wanted)]) != wanted or sizes[0] != sizes[1]:
            yield "its slot is not one route's"


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("bits", [ActivationBits(), ActivationBits(15, 15, 8, 8, 8)])
def test_every_program_of_the_builders_keeps_the_rules(preset: str, bits: ActivationBits) -> None:
    assert list(broken_rules(program_of("own", PRESETS[preset], bits))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": 1},
        {"ffn": 20_000, "mlp_bias": True},
        {"heads": 8, "kv_heads": 1, "qkv_bias": True, "windows": (3, 0, 7)},
        {"experts": 6, "experts_per_token": 3, "qk_norm": True, "ffn": 9_000},
    ],
)
def test_other_shapes_keep_them_too(changes: dict[str, object]) -> None:
    shape: ModelShape = replace(PRESETS["tiny"], **changes)  # type: ignore[arg-type]
    assert list(broken_rules(program_of("own", shape))) == []


def test_breaches_are_seen() -> None:
    """The check above is no empty one: rewire any input of a quantised row, or move the cut."""
    program = program_of("own", PRESETS["tiny"])
    at = next(i for i, op in enumerate(program.ops) if op.kind == "quantise" and op.layer == 1)
    other = next(op.outputs[0].name for op in program.ops if op.kind == "row_max" and op.layer == 0)
    changed = replace(program.ops[at], inputs=(program.ops[at].inputs[0], other))
    rewired = replace(program, ops=(*program.ops[:at], changed, *program.ops[at + 1 :]))
    assert any("its maximum is of other rows" in problem for problem in broken_rules(rewired))
    cut = next(i for i, op in enumerate(program.ops) if op.layer == 1)
    moved = replace(program.ops[cut], layer=0)
    assert any("cross the cut before layer 1" in problem for problem in broken_rules(
        replace(program, ops=(*program.ops[:cut], moved, *program.ops[cut + 1 :]))
    ))  # fmt: skip
