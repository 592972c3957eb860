"""Streamed traces: numbering, equality with the reference executor and with what receipts commit."""

from __future__ import annotations

import pytest
import torch

from nexus_chain.commitments.tensor import RowTree, commit
from nexus_chain.disputes.errors import TraceInputError, WitnessError
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.program import PRESETS, IntegerModel, Sampling, random_model

SALT = bytes(range(32))
SAMPLING = Sampling.at_temperature(1.0, b"\7" * 32)
POSITIONS, PROMPT = 9, 5


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return random_model(PRESETS["tiny"], seed=4)


def tokens_of(model: IntegerModel, positions: int = POSITIONS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(8)
    return torch.randint(0, model.program.shape.vocab, (positions,), generator=generator, dtype=torch.int32)


def traces(model: IntegerModel, split: int) -> list[Trace]:
    tokens = tokens_of(model)
    middle = Engine(model.program, model.weights, 0, split)
    rows = middle.forward([(middle.open(PROMPT, SAMPLING, POSITIONS), tokens)])[0]
    parts = ((0, split), tokens), ((split, model.program.shape.layers), rows)
    return [
        Trace(model.program, model.weights, layers, TracedSequence(source, tokens[:PROMPT], SAMPLING, SALT))
        for layers, source in parts
    ]


@pytest.mark.parametrize("split", [1, 2])
def test_every_tensor_is_the_references(model: IntegerModel, split: int) -> None:
    for trace in traces(model, split):
        layers = (trace.layout.start, trace.layout.end)
        expected = ReferenceExecutor(model.program, model.weights, *layers).run(trace.sequence.rows, PROMPT, SAMPLING)
        made = [tensor for tensor in trace.layout.tensors if tensor.op is not None]
        assert [tensor.name for tensor in made] == list(expected)
        for tensor in reversed(made):  # against the order in which layers are cheap
            assert torch.equal(trace.tensor(tensor.number), expected[tensor.name])
            assert tuple(trace.tensor(tensor.number).shape) == tensor.shape


def test_first_and_last_roots_are_the_receipts(model: IntegerModel) -> None:
    first, second = traces(model, 2)
    tokens = tokens_of(model)
    assert first.roots()[0] == commit(tokens, SALT)
    rows = RowTree(model.program.shape.width, SALT)
    rows.append(second.sequence.rows)
    assert first.roots()[-1] == rows.root() == second.roots()[0]
    answer = torch.cat([tokens[:PROMPT], second.named("sample.token")])
    assert len(answer) == POSITIONS + 1
    assert second.roots()[-1] == commit(answer, SALT)


def test_streamed_roots_equal_those_of_single_tensors(model: IntegerModel) -> None:
    for trace in traces(model, 1):
        streamed = trace.roots()
        assert streamed == [trace.root(number) for number in range(len(trace.layout.tensors))]


def test_a_chunk_inside_the_prompt_samples_nothing(model: IntegerModel) -> None:
    tokens = tokens_of(model)
    sequence = TracedSequence(tokens[:3], tokens[:PROMPT], SAMPLING, SALT)
    trace = Trace(model.program, model.weights, (0, model.program.shape.layers), sequence)
    assert trace.layout.sampled == 0
    assert trace.named("sample.token").shape == (0,)
    assert torch.equal(trace.named("sequence"), tokens[:4])


def test_rows_of_another_shape_are_refused(model: IntegerModel) -> None:
    with pytest.raises(TraceInputError):
        Trace(model.program, model.weights, (1, 2), TracedSequence(tokens_of(model), tokens_of(model), SAMPLING, SALT))


def test_a_tensor_beyond_the_trace_is_refused(model: IntegerModel) -> None:
    trace = traces(model, 1)[0]
    with pytest.raises(WitnessError):
        trace.tensor(len(trace.layout.tensors))
