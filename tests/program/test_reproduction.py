"""Programs that pass op by op and are wired so that contract and engines differ: refused as a whole, by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nexus_chain
from nexus_chain.program import (
    POSITIONS,
    PRESETS,
    SAMPLED,
    ActivationBits,
    Op,
    Program,
    TensorSpec,
    import_checkpoint,
    program_of,
)
from nexus_chain.program.blocks import LAYER_MATRICES
from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import Role, role_of
from nexus_chain.program.encoder import EmbeddingShifts, encoder_program
from nexus_chain.program.errors import ProgramFormatError, UnreproducibleProgramError
from nexus_chain.program.reproduction import read_program, reproduce
from tests.support.random_checkpoints import FAMILIES, checkpoint

TINY = program_of("tiny", PRESETS["tiny"])


def inserted(at: int, op: Op) -> Program:
    return replace(TINY, ops=(*TINY.ops[:at], op, *TINY.ops[at:]))


def first(layer: int, kind: str, end: str = "") -> int:
    """Index of the layer's first op of a kind whose name ends so."""
    return next(i for i, op in enumerate(TINY.ops) if (op.layer, op.kind) == (layer, kind) and op.name.endswith(end))


def renamed(op: Op, **changes: Any) -> Op:
    """The op once more, under names that nothing reads."""
    outputs = tuple(replace(spec, name=f"{spec.name}.unread") for spec in op.outputs)
    return replace(op, **{"name": "layers.1.unread", "outputs": outputs, **changes})


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("bits", [None, ActivationBits(15, 8, 15, 8, 8), ActivationBits(8, 15, 8, 15, 15)])
def test_every_shape_and_width_is_reproduced(preset: str, bits: ActivationBits | None) -> None:
    program = program_of("any", PRESETS[preset], bits)
    assert read_program(program.to_json()) == program


def test_wider_rows_of_single_layers_and_shifts_are_reproduced() -> None:
    wider = ("0.attention_input", "1.down", "2.mlp_input")
    reproduce(decoder_program("own", PRESETS["tiny"], ActivationBits(down=8), 5, wider))
    experts = ("1.mlp_input", "0.down")
    reproduce(decoder_program("own", PRESETS["tiny-experts"], ActivationBits(down=8), 3, experts))
    shifts = EmbeddingShifts(4, 6)
    reproduce(encoder_program("own", PRESETS["tiny-encoder"], ActivationBits(), shifts, ("1.mlp_input",)))


@pytest.mark.parametrize("preset", ["tiny-bias", "tiny-wide"])
@pytest.mark.parametrize("matrix", [*LAYER_MATRICES, "head"])
def test_matrices_in_two_parts_are_reproduced(preset: str, matrix: str) -> None:
    program = program_of("own", PRESETS[preset], finer=(f"0.{matrix}" if matrix != "head" else matrix,))
    assert len(program.ops) > len(program_of("own", PRESETS[preset]).ops)
    assert read_program(program.to_json()) == program


def test_a_remainder_of_another_matrix_is_refused() -> None:
    program = program_of("own", PRESETS["tiny"], finer=("1.value",))
    at = next(index for index, op in enumerate(program.ops) if role_of(op).remainder)
    first = program.ops[at - 1]
    hostile = replace(program.ops[at], weights=first.weights)
    hostile_program = replace(program, ops=(*program.ops[:at], hostile, *program.ops[at + 1 :]))
    with pytest.raises(UnreproducibleProgramError, match=r"op layers\.1\.attention\.value\.remainder stands where"):
        reproduce(hostile_program)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_every_family_imports_is_reproduced(family: str, tmp_path: Path) -> None:
    checkpoint(tmp_path, family)
    model = import_checkpoint(tmp_path, widths=ActivationBits(15, 8, 8, 15, 8))
    assert read_program(model.program.to_json()) == model.program


def test_the_shipped_model_is_reproduced() -> None:
    program = import_checkpoint(Path(nexus_chain.__file__).parent / "models" / "python-stdlib").program
    assert read_program(program.to_json()) == program


def test_a_weight_declared_twice_is_refused() -> None:
    """Regression: nodes computed with the last of two tensors of one name, the contract opened the first."""
    spec = TINY.weight_specs["layers.1.mlp.gate.weight"]
    for weights in ((*TINY.weights, spec), (spec, *TINY.weights)):
        with pytest.raises(ProgramFormatError, match="two specs of one name"):
            replace(TINY, weights=weights).validate()


def test_a_layer_that_ends_with_what_nothing_reads_is_refused() -> None:
    """Regression: the next layer's input was one tensor to engines and another to the contract."""
    last = max(i for i, op in enumerate(TINY.ops) if op.layer == 0)
    hostile = inserted(last + 1, renamed(TINY.ops[last], name="layers.0.unread"))
    hostile.validate()
    with pytest.raises(UnreproducibleProgramError, match=r"op layers\.0\.unread stands where they have layers\.1\.att"):
        reproduce(hostile)


def test_sampled_rows_before_the_last_layer_are_refused() -> None:
    """Regression: a middle node was told the prompt's length by the client, the contract by the order."""
    at = first(1, "row_max")
    output = (TensorSpec("layers.1.unread.max", "i32", (SAMPLED,)),)
    hostile = inserted(at + 1, renamed(TINY.ops[at], outputs=output))
    hostile.validate()
    with pytest.raises(UnreproducibleProgramError, match=r"op layers\.1\.unread stands where"):
        reproduce(hostile)


def test_a_raw_copy_of_a_boundary_is_refused() -> None:
    """Regression: engines clamp the rows that they are handed, the contract's ``row_layout`` copies them."""
    width, entering = TINY.shape.width, TINY.input_of(1, 2)
    output = (TensorSpec("columns", "i32", (width, POSITIONS)),)
    hostile = inserted(
        first(1, "row_max") + 1, Op("row_layout", "copied", 1, (entering,), output, (), {"width": width})
    )
    hostile.validate()
    with pytest.raises(UnreproducibleProgramError, match="op copied stands where"):
        reproduce(hostile)


@pytest.mark.parametrize("crashing", [False, True])
def test_rows_quantised_by_another_rows_maximum_are_refused(crashing: bool) -> None:
    """Regression: kernels take a row's maximum at its word; with an exponent in its place they divided by zero."""
    at = first(1, "quantise")
    other = TINY.ops[first(1, "row_max", "mlp.norm.row_max")].outputs[0].name
    if crashing:
        other = TINY.ops[first(1, "norm_scale")].outputs[1].name
    hostile = inserted(first(1, "quantise", "mlp.norm.quantise") + 1, renamed(TINY.ops[at], inputs=("x", other)))
    index = next(i for i, op in enumerate(hostile.ops) if op.name == "layers.1.unread")
    source = TINY.ops[at].inputs[0]
    rewired = replace(hostile.ops[index], inputs=(source, other))
    hostile = replace(hostile, ops=(*hostile.ops[:index], rewired, *hostile.ops[index + 1 :]))
    hostile.validate()
    with pytest.raises(UnreproducibleProgramError, match=r"op layers\.1\.unread stands where"):
        reproduce(hostile)
    own = replace(TINY.ops[at], inputs=(source, TINY.ops[first(0, "row_max")].outputs[0].name))
    changed = replace(TINY, ops=(*TINY.ops[:at], own, *TINY.ops[at + 1 :]))
    changed.validate()
    with pytest.raises(UnreproducibleProgramError, match=f"op {own.name} stands where they have one with other inputs"):
        reproduce(changed)


def test_weights_in_another_order_are_refused() -> None:
    weights = (*TINY.weights[1:], TINY.weights[0])
    with pytest.raises(UnreproducibleProgramError, match=r"weight .* stands where they have embed\.table"):
        reproduce(replace(TINY, weights=weights))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"width": "64"}, "width of its shape is '64'"),
        ({"width": 64.0}, r"width of its shape is 64\.0"),
        ({"kv_heads": 0}, "kv_heads of its shape is 0"),
        ({"rms_eps": -1.0}, "rms_eps of its shape"),
        ({"qk_norm": 1}, "qk_norm of its shape is 1"),
        ({"windows": ["a", 1, 2]}, "windows of its shape"),
        ({"layers": 2**31}, "layers of its shape"),
    ],
)
def test_a_shape_of_other_types_is_no_program(changes: dict[str, Any], told: str) -> None:
    data = json.loads(TINY.to_json())
    data["shape"] |= changes
    with pytest.raises(ProgramFormatError, match=told):
        Program.from_json(json.dumps(data))


@pytest.mark.parametrize(
    "changes",
    [
        {"ffn": 2**31 - 1},
        {"experts": 64, "experts_per_token": 8},
        {"experts": 3},
        {"windows": (1, 2)},
        {"windows": (-1, -1, -1)},
        {"kv_heads": 3},
        {"head_dim": 15},
        {"rms_eps": 1e300},
        {"context": 65},
        {"encoder": True},
        {"heads": 2**31 - 1, "kv_heads": 1},
    ],
)
def test_ops_of_another_shape_are_refused_at_once(changes: dict[str, Any]) -> None:
    """No shape makes the check work longer than the ops that a file holds."""
    hostile = replace(TINY, shape=replace(TINY.shape, **changes))
    with pytest.raises(UnreproducibleProgramError):
        reproduce(hostile)


def test_a_program_that_was_read_has_the_roles_of_its_builder() -> None:
    """Roles are not written, and the text of a program is the same with and without them."""
    for shape in PRESETS.values():
        built = program_of("own", shape)
        read = read_program(built.to_json())
        assert [op.role for op in read.ops] == [op.role for op in built.ops]
        assert None not in [op.role for op in read.ops]
        plain = Program.from_json(built.to_json())
        assert {op.role for op in plain.ops} == {None}
        assert plain == built
        assert plain.to_json() == built.to_json()


def test_roles_say_what_an_op_reads_of_a_checkpoint() -> None:
    roles = {op.name: op.role for op in program_of("own", PRESETS["tiny-wide"]).ops}
    assert roles["layers.0.attention.query"] == Role("attention", "query")
    assert roles["layers.0.mlp.down.1"] == Role("mlp", "down", 1)
    assert roles["head"] == Role("head", "head")
    finer = {op.name: op.role for op in program_of("own", PRESETS["tiny-wide"], finer=("0.down",)).ops}
    assert finer["layers.0.mlp.down.1.remainder"] == Role("mlp", "down", 1, remainder=True)
    assert roles["layers.0.mlp.silu_product"] == Role("mlp")
    experts = program_of("own", PRESETS["tiny-experts"])
    (gate,) = (op for op in experts.ops if op.name == "layers.1.mlp.slots.1.gate")
    assert gate.role == Role("mlp", "gate")
    assert gate.expert_weights[3] == ("layers.1.mlp.experts.3.gate.weight", "layers.1.mlp.experts.3.gate.scale")
    assert len(gate.expert_weights) == 5
