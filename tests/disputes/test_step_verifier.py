"""The step verifier on real traces: right elements are left alone, every lie is convicted."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from nexus_chain.commitments.tensor import RowLayout
from nexus_chain.disputes import challenger, defender
from nexus_chain.disputes.operators import NEEDED
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.witness_abi import ScorePart
from nexus_chain.disputes.witnesses import PublishedModel
from nexus_chain.program import PRESETS, IntegerModel, Sampling, random_model
from nexus_chain.program.blocks import LAYER_MATRICES
from nexus_chain.program.dtypes import DTYPE_BYTES
from nexus_chain.program.random_weights import program_of
from tests.support.lies import lie
from tests.support.referee import Referee, honest_trace, size_of

SAMPLED = Sampling.at_temperature(0.8, b"\5" * 32)
GREEDY = Sampling()


class World:
    """A model, its referee and the honest trace of one segment."""

    def __init__(
        self,
        preset: str,
        layers: tuple[int, int],
        sampling: Sampling,
        sizes: tuple[int, int],
        finer: tuple[str, ...] = (),
    ) -> None:
        self.weights_of: IntegerModel = random_model(PRESETS[preset], seed=3, finer=finer)
        self.referee = Referee(PublishedModel(self.weights_of.program, self.weights_of.weights))
        self.trace = honest_trace(self.weights_of, layers, *sizes, sampling)


WORLDS: dict[str, tuple[Any, ...]] = {
    "whole": ("tiny", (0, 3), SAMPLED, (5, 3)),
    "middle": ("tiny", (1, 2), GREEDY, (5, 5)),
    "end": ("tiny", (2, 3), GREEDY, (4, 2)),
    "matrices in two parts": ("tiny", (2, 3), GREEDY, (4, 2), ("head", *(f"2.{name}" for name in LAYER_MATRICES))),
    "biased": ("tiny-bias", (0, 2), GREEDY, (5, 2)),
    "odd vocabulary": ("tiny-odd", (0, 1), SAMPLED, (4, 3)),
    "experts": ("tiny-experts", (0, 1), GREEDY, (4, 4)),
    "head norms": ("tiny-head-norm", (0, 1), GREEDY, (7, 7)),
    "encoder": ("tiny-encoder", (1, 3), GREEDY, (5, 5)),
    "encoder's start": ("tiny-encoder", (0, 1), GREEDY, (5, 5)),
}


@pytest.fixture(scope="module", params=list(WORLDS))
def world(request: pytest.FixtureRequest) -> World:
    return World(*WORLDS[request.param])


def places(trace: StoredTrace, count: int, seed: int) -> list[tuple[int, int]]:
    """``count`` random elements of every tensor that can be picked."""
    source = random.Random(seed)
    numbers = [number for number in range(1, len(trace.layout.tensors)) if size_of(trace, number)]
    return [(number, source.randrange(size_of(trace, number))) for number in numbers for _ in range(count)]


def test_right_elements_are_never_convicted(world: World) -> None:
    for number, element in places(world.trace, 2, 1):
        spec = world.trace.layout.tensor(number)
        assert not world.referee.judge(world.trace, number, element).convicted, (spec.name, element)


@pytest.mark.parametrize("consistent", [True, False])
def test_every_lie_is_convicted(world: World, consistent: bool) -> None:
    """One altered element in each tensor; the challenger finds it and one step convicts."""
    source = random.Random(2)
    honest, weights = world.trace, world.weights_of.weights
    for number, element in places(honest, 1, 3):
        spec = honest.layout.tensor(number)
        value = other_value(honest, number, element, source)
        false = lie(honest, weights, (number, element), value, consistent=consistent)
        found, at = found_by_challenger(false, honest)
        assert (found, at) == (number, element)
        assert world.referee.judge(false, number, element, own=honest).convicted, (spec.name, element)


def other_value(trace: StoredTrace, number: int, element: int, source: random.Random) -> int:
    """A wrong value of the element: its neighbours and any bit pattern."""
    right, bits = int(trace.tensor(number).reshape(-1)[element]), 8 * DTYPE_BYTES[trace.layout.tensor(number).dtype]
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    choices = [right + 1, right - 1, 0, low, high, source.randint(low, high)]
    return source.choice([value for value in choices if low <= value <= high and value != right])


def found_by_challenger(posted: StoredTrace, own: StoredTrace) -> tuple[int, int]:
    """(tensor, row-major element) that the challenger would dispute, by the game's own questions."""
    roots = posted.roots()
    number = challenger.pick_tensor(roots, own.roots())
    leaf = challenger.pick_leaf(defender.rows(posted, roots, number).hashes, own, number)
    within = challenger.pick_element(defender.leaf(posted, number, leaf).data, own, number, leaf)
    spec = own.layout.tensor(number)
    return number, leaf * RowLayout.of(spec.dtype, spec.shape).leaf_bytes // DTYPE_BYTES[spec.dtype] + within


def test_every_kind_is_stepped() -> None:
    programs = [(program_of(preset, PRESETS[preset]), layers) for preset, layers, *_ in WORLDS.values()]
    kinds = {op.kind for program, layers in programs for op in program.segment(*layers)}
    assert kinds == {*NEEDED, "attention"}


def attention_number(trace: StoredTrace) -> int:
    return next(spec.number for spec in trace.layout.tensors if spec.op is not None and spec.op.kind == "attention")


@pytest.mark.parametrize("part", list(ScorePart))
def test_every_wrong_statement_of_a_score_row_is_convicted(world: World, part: ScorePart) -> None:
    """The node keeps the trace's element and falsifies one score, one field of a record, or nothing (then: the sum)."""
    trace, referee = world.trace, world.referee
    number = attention_number(trace)
    element = size_of(trace, number) - 1
    if part == ScorePart.SUM:
        right = int(trace.tensor(number).reshape(-1)[element])
        trace = trace.replaced({number: torch.where(trace.tensor(number) == right, right ^ 1, trace.tensor(number))})
    spec = trace.layout.tensor(number)
    per_leaf = RowLayout.of(spec.dtype, spec.shape).leaf_bytes // 4
    leaf, within = divmod(element, per_leaf)
    builder = referee.builder(trace)
    claimed = (number, leaf, defender.leaf(trace, number, leaf).data, within)
    row = builder.score_row(number, leaf, within)
    for records, scores in falsified(row.record_bytes, row.score_bytes, part):
        wrong = challenger.wrong_statement((records, scores), row)
        assert wrong[0] == part
        assert referee.judge_row(builder, claimed, (records, scores), wrong).convicted


def falsified(records: bytes, scores: bytes, part: ScorePart) -> list[tuple[bytes, bytes]]:
    """One byte of one statement changed, in every field."""
    if part == ScorePart.SUM:
        return [(records, scores)]
    if part == ScorePart.SCORE:
        return [(records, flipped(scores, at)) for at in range(0, len(scores), 4)]
    return [(flipped(records, at), scores) for at in (0, 4, 12, 20)]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_right_statements_are_never_convicted(world: World) -> None:
    trace, referee = world.trace, world.referee
    number = attention_number(trace)
    builder, width = referee.builder(trace), trace.layout.tensor(number).shape[1]
    per_leaf = RowLayout.of("i32", trace.layout.tensor(number).shape).leaf_bytes // 4
    for element in (0, width + 1, size_of(trace, number) - 1):
        leaf, within = divmod(element, per_leaf)
        claimed = (number, leaf, defender.leaf(trace, number, leaf).data, within)
        row = builder.score_row(number, leaf, within)
        posted = row.record_bytes, row.score_bytes
        for part, at in [(ScorePart.SCORE, len(row.scores) - 1), (ScorePart.BLOCK, 0), (ScorePart.SUM, 0)]:
            assert not referee.judge_row(builder, claimed, posted, (part, at)).convicted


def test_the_segment_has_the_tensors_that_its_descriptors_say(world: World) -> None:
    builder, layout = world.referee.builder(world.trace), world.trace.layout
    subject = builder.subject()
    boundary = tuple(part.values() for part in world.referee.model.boundary(layout))
    found = world.referee.verifier.call(
        "segment", subject.program_root, layout.start, layout.end, subject.layers, boundary
    )
    assert found == (subject.first_number, subject.tensor_count)


def test_layouts_are_the_traces(world: World) -> None:
    builder = world.referee.builder(world.trace)
    for spec in world.trace.layout.tensors[1:]:
        subject, descriptor = builder.subject().values(), builder.descriptor(spec.number).values()
        dtype, shape, leaves = world.referee.verifier.call("layout", subject, spec.number, descriptor)
        assert (dtype, tuple(shape)) == ({"i8": 1, "i16": 2, "i32": 3, "i64": 4}[spec.dtype], spec.shape), spec.name
        assert leaves == RowLayout.of(spec.dtype, spec.shape).leaves


def test_the_input_is_convicted_for_its_length_alone(world: World) -> None:
    """Where the input's values came from is the client's to know; a leaf that cannot be read is the node's."""
    assert not world.referee.judge(world.trace, 0, 0).convicted
    builder, whole = world.referee.builder(world.trace), defender.leaf(world.trace, 0, 0).data
    for data in (whole[:-1], whole + b"\0", b""):
        claim, witness = builder.claim(0, 0, data), builder.witness(0, 0, data, 0)
        verdict = world.referee.verifier.call("convicts", builder.subject().values(), claim.values(), witness.encoded())
        assert verdict is True


def test_a_leaf_of_another_length_is_convicted(world: World) -> None:
    builder = world.referee.builder(world.trace)
    for spec in world.trace.layout.tensors[1:]:
        if (spec.op is not None and spec.op.kind == "attention") or not size_of(world.trace, spec.number):
            continue
        data = defender.leaf(world.trace, spec.number, 0).data[:-1]
        assert challenger.pick_element(data, world.trace, spec.number, 0) == 0
        claim, witness = builder.claim(spec.number, 0, data), builder.witness(spec.number, 0, data, 0)
        assert world.referee.verifier.call("convicts", builder.subject().values(), claim.values(), witness.encoded()), (
            spec.name
        )
