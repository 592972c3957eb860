"""The overflow proof holds for what is shipped and fails, naming the place, for planted descriptors."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from nexus_chain.program import (
    PRESETS,
    ActivationBits,
    ModelShape,
    Op,
    Program,
    decoder_program,
    overflow,
    program_of,
    prove_no_overflow,
)
from nexus_chain.program.blocks import LAYER_MATRICES
from nexus_chain.program.errors import OverflowProofError
from nexus_chain.program.interval_proof import ProvenRange, Scope

OPERATORS = Path(overflow.__file__).with_name("OPERATORS.md").read_text()
SHIPPED = ModelShape(
    layers=6, width=384, heads=6, kv_heads=2, head_dim=64, ffn=1024, vocab=4096, context=512, tied=True
)
WIDEST = ModelShape(
    layers=1, width=16384, heads=128, kv_heads=8, head_dim=128, ffn=65536, vocab=262144, context=32768, tied=False
)


def planted(kind: str, **params: int) -> Program:
    """The tiny program with parameters of its last op of ``kind`` replaced."""
    program = decoder_program("tiny", PRESETS["tiny"])
    index = max(i for i, op in enumerate(program.ops) if op.kind == kind)
    op = dataclasses.replace(program.ops[index], params={**program.ops[index].params, **params})
    return dataclasses.replace(program, ops=(*program.ops[:index], op, *program.ops[index + 1 :]))


@pytest.mark.parametrize("shape", [SHIPPED, WIDEST, *PRESETS.values()])
def test_the_proof_holds_for_every_op(shape: ModelShape) -> None:
    program = program_of("model", shape)
    report = prove_no_overflow(program)
    assert sorted(name for proof in report.proofs for name in proof.ops) == sorted(op.name for op in program.ops)
    assert report.bits <= 63


@pytest.mark.parametrize("preset", ["tiny-bias", "tiny-wide"])
def test_the_proof_holds_for_matrices_in_two_parts(preset: str) -> None:
    finer = ("head", *(f"0.{name}" for name in LAYER_MATRICES))
    program = program_of("model", PRESETS[preset], ActivationBits(15, 15, 15, 15, 15), finer)
    report = prove_no_overflow(program)
    assert sorted(name for proof in report.proofs for name in proof.ops) == sorted(op.name for op in program.ops)
    assert report.bits <= 63


def test_layers_that_are_alike_are_proven_once() -> None:
    """So that a node proves the program of a deep model in the seconds that a shallow one takes."""
    shallow, deep = (decoder_program("alike", dataclasses.replace(SHIPPED, layers=layers)) for layers in (1, 60))
    assert len(prove_no_overflow(deep).proofs) == len(prove_no_overflow(shallow).proofs)


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("linear", {"columns": 2**17}, "head: sum of one plane can leave its range, for example"),
        ("linear", {"columns": 2**40}, "sum of one plane"),
        ("linear", {"bits": 9}, "neither 8 nor 15 bits"),
        ("linear", {"fraction": -1}, "fraction"),
        ("row_squares", {"stop": 2**15}, r"head\.norm\.row_squares: sum of squares"),
        ("row_squares", {"start": 64}, "not a range"),
        ("norm_scale", {"epsilon": 2**60}, "epsilon"),
        ("norm_scale", {"epsilon": -1}, "epsilon"),
        ("embed", {"shift": 48}, "shift"),
        ("quantise", {"bits": 16}, "neither 8 nor 15 bits"),
        ("attention", {"block": 2048}, "sum of u . v"),
        ("attention", {"head_dim": 2**18}, "q . k"),
        ("attention", {"head_dim": 2**16, "scale": 2**30}, "rs.acc . qs, 12. . M|score . k_m|acc . qs"),
        ("attention", {"kv_heads": 3}, "do not divide"),
        ("rope_quantise", {"head_dim": 15}, "not even"),
        ("sample_blocks", {"block": 0}, "no entries"),
    ],
)
def test_a_planted_descriptor_fails_where_it_is_wrong(kind: str, params: dict[str, int], message: str) -> None:
    with pytest.raises(OverflowProofError, match=message):
        prove_no_overflow(planted(kind, **params))


WIDEST_KINDS: dict[str, dict[str, int]] = {
    "position_embed": {"width": 16384, "shift": 15},
    "normalise": {"groups": 128, "size": 8192, "centred": 1, "epsilon": 2**60 - 1, "bias": 1},
    "gelu": {"width": 65536},
    "row_layout": {"width": 16384},
    "prefix_mean": {"width": 16384},
    "attention": {"heads": 128, "kv_heads": 8, "head_dim": 256, "block": 1024, "window": -1, "scale": 66572},
}


def lone_op(kind: str, **params: int) -> Program:
    """A program of one op of a model of 2^20 positions; the proof reads kinds and parameters alone."""
    op = Op(kind, f"the.{kind}", 0, (), (), (), {**WIDEST_KINDS[kind], **params})
    return Program("lone", dataclasses.replace(WIDEST, context=2**20), (op,), ())


@pytest.mark.parametrize("kind", WIDEST_KINDS)
def test_the_kinds_of_encoders_are_proven_at_their_limits_and_within_the_written_bits(kind: str) -> None:
    found = re.search(rf"### \d+ `{kind}`.*?\n(?=### |Attention with)", OPERATORS, flags=re.DOTALL)
    written = re.search(r"Bits (\d+)", found[0]) if found else None
    assert prove_no_overflow(lone_op(kind)).bits <= (int(written[1]) if written else 0)


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("position_embed", {"shift": 16}, "shift"),
        ("normalise", {"size": 8193}, "not 1 to 8192 wide"),
        ("normalise", {"groups": 0}, "no groups"),
        ("normalise", {"centred": 2}, "neither 0 nor 1"),
        ("normalise", {"epsilon": 2**60}, "epsilon"),
        ("gelu", {"width": 0}, "no columns"),
        ("row_layout", {"width": 0}, "no columns"),
        ("prefix_mean", {"width": 0}, "no columns"),
        ("attention", {"window": -2}, "neither positive, 0 nor -1"),
    ],
)
def test_a_planted_encoder_op_fails_where_it_is_wrong(kind: str, params: dict[str, int], message: str) -> None:
    with pytest.raises(OverflowProofError, match=f"the.{kind}: .*{message}"):
        prove_no_overflow(lone_op(kind, **params))


def test_a_claim_that_is_false_shows_a_counterexample() -> None:
    scope = Scope("op")
    value = scope.variable("value", 0, 10)
    with pytest.raises(OverflowProofError, match=r"square can leave its range, for example with .*value"):
        scope.claim("square", value * value, 0, 99)
    assert scope.claim("square", value * value, 0, 100) is not None


def test_a_claim_beyond_its_register_fails_even_if_the_range_is_right() -> None:
    scope = Scope("op")
    value = scope.variable("value", 0, 2**40)
    with pytest.raises(OverflowProofError, match="product can leave its range"):
        scope.claim("product", value * value, 0, 2**80)


def test_rounding_shifts_are_proven_against_their_own_addition() -> None:
    scope = Scope("op")
    with pytest.raises(OverflowProofError, match="before its shift"):
        scope.rounded("value", scope.variable("x", -(2**63), 2**63 - 1), 2**63 - 1, 12)


def test_the_proof_holds_for_the_most_experts_and_fails_for_too_wide_ones() -> None:
    program = decoder_program("experts", dataclasses.replace(WIDEST, vocab=64, experts=64, experts_per_token=8))
    ranges = {proof.kind: proof for proof in prove_no_overflow(program).proofs}
    assert ranges["route"].ranges[-1] == ProvenRange("gate", 0, 2**16)
    index = next(i for i, op in enumerate(program.ops) if op.kind == "expert_linear")
    op = dataclasses.replace(program.ops[index], params={**program.ops[index].params, "columns": 2**17})
    wide = dataclasses.replace(program, ops=(*program.ops[:index], op))
    with pytest.raises(OverflowProofError, match=r"slots\.0\.gate: sum of one plane can leave its range"):
        prove_no_overflow(wide)
