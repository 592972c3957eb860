"""The op list: unique names, segments, canonical bytes, JSON, and what a malformed list is told."""

from __future__ import annotations

import dataclasses
import json
import re
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from nexus_chain.program import PRESETS, IntegerModel, Program, decoder_program, program_of, random_model
from nexus_chain.program import descriptors as module
from nexus_chain.program.descriptors import SAMPLED, TensorSpec
from nexus_chain.program.errors import ProgramFormatError, TensorMismatchError
from nexus_chain.program.op_kinds import KINDS
from nexus_chain.program.overflow import prove_no_overflow

OPERATORS = Path(module.__file__).with_name("OPERATORS.md").read_text()


@pytest.fixture(scope="module")
def program() -> Program:
    return decoder_program("tiny", PRESETS["tiny"])


def test_every_output_has_one_unique_name(program: Program) -> None:
    names = [spec.name for op in program.ops for spec in op.outputs]
    assert len(names) == len(set(names)) == len(program.tensors) - 1
    assert {"layers.1.attention.q", "layers.2.mlp.hidden", "sample.token"} <= set(names)


@pytest.mark.parametrize("cuts", [(0, 3), (0, 1, 3), (0, 1, 2, 3)])
def test_segments_cover_every_op_once_and_meet_at_the_residual(program: Program, cuts: tuple[int, ...]) -> None:
    ranges = list(pairwise(cuts))
    assert sum((program.segment(*layers) for layers in ranges), ()) == program.ops
    for left, right in pairwise(ranges):
        assert program.output_of(*left) == program.input_of(*right)
    assert program.input_of(*ranges[0]) == "tokens"
    assert program.output_of(*ranges[-1]) == "sample.token"


@pytest.mark.parametrize("cut", [(0, 1), (1, 3), (2, 3)])
def test_a_segment_reads_only_its_input_its_own_tensors_and_its_weights(program: Program, cut: tuple[int, int]) -> None:
    known = {program.input_of(*cut)}
    weights = {spec.name for spec in program.weights_of(*cut)}
    for op in program.segment(*cut):
        assert set(op.inputs) <= known
        assert set(op.weights) <= weights
        known |= {spec.name for spec in op.outputs}


@pytest.mark.parametrize("layers", [(0, 0), (2, 1), (-1, 2), (0, 4)])
def test_segment_refuses_a_range_outside_the_model(program: Program, layers: tuple[int, int]) -> None:
    with pytest.raises(ProgramFormatError, match="not a range"):
        program.segment(*layers)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_json_round_trip_is_exact(preset: str) -> None:
    program = program_of(preset, PRESETS[preset])
    again = Program.from_json(program.to_json())
    assert again == program
    assert again.to_json() == program.to_json()
    assert again.descriptors() == program.descriptors()


def test_a_descriptor_reads_back_word_by_word(program: Program) -> None:
    index, op = next((i, op) for i, op in enumerate(program.ops) if op.name == "layers.1.mlp.down.0")
    data = program.descriptors()[index]
    words = [data[at : at + 32] for at in range(0, len(data), 32)]
    assert words[0] == bytes([1, KINDS["linear"].code, 0, 1, 6, 4, 1, 2]).ljust(32, b"\0")
    assert [int.from_bytes(word, "big", signed=True) for word in words[1:7]] == [64, 96, 15, 16, 0, 1]
    tensors = [*op.inputs, "layers.1.mlp.down.0.residual", *op.weights]
    assert words[7::2] == [sha256(name.encode()).digest() for name in tensors]
    numbers = list(program.tensors)
    first = words[8]
    assert first[:4] == bytes([1, 3, 0, 0])
    assert int.from_bytes(first[4:8], "big") == numbers.index("layers.1.mlp.down.0.q")
    assert [int.from_bytes(first[at : at + 8], "big", signed=True) for at in (8, 16, 24)] == [-1, 2, 96]


def test_descriptors_depend_on_every_field(program: Program) -> None:
    base = program.descriptors()
    for index, op in enumerate(program.ops):
        if not op.params:
            continue
        name = next(iter(op.params))
        changed = dataclasses.replace(op, params={**op.params, name: op.params[name] + 1})
        ops = (*program.ops[:index], changed, *program.ops[index + 1 :])
        other = dataclasses.replace(program, ops=ops).descriptors()
        assert [i for i, (a, b) in enumerate(zip(base, other, strict=True)) if a != b] == [index]


def test_descriptor_bytes_of_the_tiny_program_do_not_move(program: Program) -> None:
    assert sha256(b"".join(program.descriptors())).hexdigest() == GOLDEN_TINY


GOLDEN_TINY = "a8bdde2c40c15946efe9e56572acecae4008da51d07755e164936a5e4edc0862"


def test_every_kind_is_written_down_with_its_parameters() -> None:
    for name, kind in KINDS.items():
        assert f"### {kind.code} `{name}`" in OPERATORS
        if kind.params:
            order = ", ".join(kind.params)
            assert re.search(rf"`{name}`[^;.]*\s{order}".replace(" ", r"\s+"), OPERATORS) is not None, (name, order)


def test_written_bit_bounds_cover_what_is_proven() -> None:
    sections = re.split(r"^### \d+ `", OPERATORS, flags=re.MULTILINE)[1:]
    written = {
        section.split("`")[0]: int(found[1]) for section in sections if (found := re.search(r"Bits (\d+)", section))
    }
    for preset in ("llama-1.1b", "mixtral-1b"):
        for proof in prove_no_overflow(decoder_program(preset, PRESETS[preset])).proofs:
            assert proof.bits <= written.get(proof.kind, 0), proof.kind


def tampered(program: Program, op: int, **changes: object) -> str:
    data = json.loads(program.to_json())
    data["ops"][op].update(changes)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "softmax"}, "kind softmax is unknown"),
        ({"params": {"start": 0}}, "are not those of row_max"),
        ({"inputs": ["layers.9.residual"]}, "produced by no earlier op"),
        ({"weights": ["layers.9.weight"]}, "not declared"),
        ({"outputs": [{"name": "embed.residual", "dtype": "i32", "shape": [-1]}]}, "two producers"),
        ({"outputs": [{"name": "new", "dtype": "f32", "shape": [-1]}]}, "unknown type"),
        ({"layer": 2}, "layers do not ascend"),
        (
            {"outputs": [{"name": "new", "dtype": "i64", "shape": [-1]}]},
            "new is i64 .* make it i32",
        ),
        ({"outputs": [{"name": "new", "dtype": "i32", "shape": [-1, 4]}]}, "new is i32"),
        ({"params": {"start": 0, "stop": 65}}, r"embed\.residual is i32 \(-1, 64\)"),
        ({"inputs": ["embed.residual", "tokens"]}, "2 inputs, 1 outputs and 0 weights"),
    ],
)
def test_from_json_refuses_a_malformed_op(program: Program, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ProgramFormatError, match=message):
        Program.from_json(tampered(program, 1, **changes))


def test_every_parameter_and_shape_of_a_linear_op_must_agree(program: Program) -> None:
    index = next(i for i, op in enumerate(program.ops) if op.name == "layers.0.mlp.gate")
    params = dict(program.ops[index].params)
    for name in ("rows", "columns", "bits", "bias", "residual"):
        text = tampered(program, index, params={**params, name: {"bits": 15}.get(name, params[name] + 1)})
        with pytest.raises(ProgramFormatError, match=r"layers\.0\.mlp\.gate: "):
            Program.from_json(text)


def test_a_table_cannot_hide_from_the_range_check_under_another_name(program: Program) -> None:
    text = program.to_json().replace('"tables.exp2"', '"harmless"')
    with pytest.raises(ProgramFormatError, match=r"weight harmless stands where one named \*tables\.exp2 belongs"):
        Program.from_json(text)


def test_kinds_that_know_positions_are_refused_over_sampled_ones(program: Program) -> None:
    index, op = next((i, op) for i, op in enumerate(program.ops) if op.kind == "attention")
    sampled = [{**dataclasses.asdict(spec), "shape": [SAMPLED, *spec.shape[1:]]} for spec in op.outputs]
    with pytest.raises(ProgramFormatError, match="it runs over all positions, not over the sampled ones"):
        Program.from_json(tampered(program, index, outputs=sampled))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1}', "[" * 100_000, b"\xff"])
def test_from_json_refuses_other_documents(text: str | bytes) -> None:
    with pytest.raises(ProgramFormatError, match="not an integer program"):
        Program.from_json(text)


def test_save_and_load_give_the_same_model(tmp_path: Path) -> None:
    model = random_model(PRESETS["tiny-bias"], seed=3)
    model.save(tmp_path / "model")
    again = IntegerModel.load(tmp_path / "model")
    assert again.program == model.program
    assert all(bool((again.weights[name] == tensor).all()) for name, tensor in model.weights.items())


def test_random_model_depends_on_its_seed_alone() -> None:
    first, same, other = (random_model(PRESETS["tiny"], seed) for seed in (1, 1, 2))
    assert all(bool((first.weights[name] == same.weights[name]).all()) for name in first.weights)
    assert not bool((first.weights["embed.table"] == other.weights["embed.table"]).all())


def test_a_model_refuses_weights_that_are_not_the_program_s() -> None:
    model = random_model(PRESETS["tiny"])
    weights = dict(model.weights)
    with pytest.raises(TensorMismatchError, match=r"extra\.weight is not part"):
        IntegerModel(model.program, {**weights, "extra.weight": weights["embed.table"]})
    with pytest.raises(TensorMismatchError, match=r"head\.scale should be i32"):
        IntegerModel(model.program, {**weights, "head.scale": weights["head.scale"][:-1]})
    with pytest.raises(TensorMismatchError, match=r"tables\.rope should be i16"):
        IntegerModel(model.program, {name: tensor for name, tensor in weights.items() if name != "tables.rope"})


@pytest.mark.parametrize(
    ("name", "row", "value"), [("tables.exp2", 7, -1), ("tables.log2", 200, 2**25), ("head.scale", 5, 2**16)]
)
def test_a_model_refuses_weights_outside_their_range_and_names_the_row(name: str, row: int, value: int) -> None:
    model = random_model(PRESETS["tiny"])
    planted = model.weights[name].clone()
    planted[row] = value
    with pytest.raises(TensorMismatchError, match=rf"{re.escape(name)} leaves .* in row {row} \(1 rows"):
        IntegerModel(model.program, {**model.weights, name: planted})


def test_load_says_what_is_missing_or_truncated(tmp_path: Path) -> None:
    with pytest.raises(ProgramFormatError, match=r"no program\.json"):
        IntegerModel.load(tmp_path)
    random_model(PRESETS["tiny-bias"]).save(tmp_path)
    data = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(data[:-100])
    with pytest.raises(ProgramFormatError, match="truncated"):
        IntegerModel.load(tmp_path)


def test_resolve_and_size_of_specs() -> None:
    assert TensorSpec("v", "i8", (2, 16, -1)).resolve(9, 4) == (2, 16, 9)
    assert TensorSpec("s", "i64", (-2, 3)).resolve(9, 4) == (4, 3)
    assert TensorSpec("w", "i16", (5, 7)).nbytes == 70
