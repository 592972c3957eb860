"""What a witness shows is what the program makes of it: right where the contract does not convict, else not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nexus_chain.chain.abi_values import decode_abi
from nexus_chain.disputes.shown_step import ShownElement, shown_element, shown_token
from nexus_chain.disputes.witness_abi import CLAIM, SUBJECT, WITNESS, Claim, Opening, Subject
from nexus_chain.program import ModelShape, random_model
from nexus_chain.program.described_op import read_descriptor
from nexus_chain.program.errors import ProgramFormatError
from tests.support.evm import ROOT

VECTORS = [json.loads(line) for line in (ROOT / "tests" / "vectors" / "steps.jsonl").read_text().splitlines()]
STEPS = [vector for vector in VECTORS if vector["kind"] != "attention"]
#: Its step reads all positions, of which a witness opens one column.
UNTOLD = {"prefix_mean"}


def shown(vector: dict[str, Any]) -> ShownElement | None:
    """What the witness of a call of the verifier shows."""
    data = bytes.fromhex(vector["calldata"][2:])
    subject_values, claim_values, encoded = decode_abi([SUBJECT, CLAIM, "bytes"], data[4:])
    ((leaf, element, descriptor, opened),) = decode_abi([WITNESS], encoded)
    subject, claim, openings = Subject(*subject_values), Claim(*claim_values), tuple(Opening(*one) for one in opened)
    if vector["kind"] == "sequence":
        return shown_token(subject, claim.leaf_index, leaf, element, openings[0])
    op = read_descriptor(descriptor[2][0])
    assert op.kind == vector["kind"]
    return shown_element(op, subject, claim.tensor_index, claim.leaf_index, leaf, element, openings)


@pytest.mark.parametrize("vector", STEPS, ids=[f"{v['tensor']}-{v['convicts']}" for v in STEPS])
def test_the_right_number_is_another_just_where_the_contract_convicts(vector: dict[str, Any]) -> None:
    found = shown(vector)
    assert found is not None
    if vector["kind"] in UNTOLD:
        assert found.right is None
    else:
        assert (found.right != found.claimed) == vector["convicts"]


def test_every_kind_but_attention_is_in_the_vectors() -> None:
    from nexus_chain.program.op_kinds import KINDS

    assert {vector["kind"] for vector in STEPS} == {*KINDS, "sequence"} - {"attention"}


def test_a_leaf_that_is_too_short_shows_nothing() -> None:
    (vector, *_) = (one for one in STEPS if one["kind"] == "linear")
    data = bytes.fromhex(vector["calldata"][2:])
    subject_values, claim_values, encoded = decode_abi([SUBJECT, CLAIM, "bytes"], data[4:])
    ((leaf, element, descriptor, _),) = decode_abi([WITNESS], encoded)
    op, claim = read_descriptor(descriptor[2][0]), Claim(*claim_values)
    assert shown_element(op, Subject(*subject_values), claim.tensor_index, 0, leaf[: 4 * element], element, ()) is None


def test_descriptors_are_read_as_they_are_written() -> None:
    shape = ModelShape(layers=2, width=64, heads=4, kv_heads=2, head_dim=16, ffn=96, vocab=300, context=200)
    program = random_model(shape, seed=1).program
    for data, op in zip(program.descriptors(), program.ops, strict=True):
        found = read_descriptor(data)
        assert (found.kind, found.layer, dict(found.params)) == (op.kind, op.layer, dict(op.params))
        assert [one.shape for one in found.inputs] == [program.tensors[name].shape for name in op.inputs]
        assert [(one.dtype, one.shape) for one in found.outputs] == [(one.dtype, one.shape) for one in op.outputs]
        assert [one.shape for one in found.weights] == [program.weight_specs[name].shape for name in op.weights]


@pytest.mark.parametrize(
    "data", [b"", b"\x01", bytes(32), bytes([1, 200]) + bytes(30), bytes([1, 7]) + bytes(30), bytes([2, 7]) + bytes(30)]
)
def test_other_bytes_are_no_descriptor(data: bytes) -> None:
    with pytest.raises(ProgramFormatError):
        read_descriptor(data)
