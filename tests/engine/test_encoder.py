"""Encoders in the fast engine: whole sequences, batches, segments, and every tensor as the reference has it."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.engine import engine as engine_module
from nexus_chain.engine.embedding import embeddings
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.errors import InvalidRowsError
from nexus_chain.engine.generation import generate
from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.engine.trace import TraceExecutor
from nexus_chain.program import ActivationBits, program_of, random_model
from nexus_chain.program.encoder import POOLED
from nexus_chain.program.random_weights import PRESETS
from nexus_chain.program.sampling import Sampling

SHAPE = PRESETS["tiny-encoder"]
BACKENDS = ("native", "torch")


def tokens_of(count, seed=0):
    return torch.randint(0, SHAPE.vocab, (count,), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)


@pytest.fixture
def chosen(model):
    return model("tiny-encoder")


@pytest.mark.parametrize("bits", [ActivationBits(15, 15, 15, 15), ActivationBits(8, 8, 8, 8)], ids=["15", "8"])
def test_both_activation_widths_equal_the_reference(backend, bits):
    chosen, rows = random_model(SHAPE, seed=3, bits=bits), tokens_of(17)
    expected = ReferenceExecutor(chosen.program, chosen.weights).run(rows, 17, Sampling())
    found = TraceExecutor(Engine(chosen.program, chosen.weights, backend=backend)).run(rows, 17, Sampling())
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def test_extreme_rows_and_weights_equal_the_reference(chosen, backend):
    weights = dict(chosen.weights)
    for name in weights:
        if name.endswith(".gain"):
            weights[name] = torch.where(weights[name] % 2 == 0, 2**31 - 1, -(2**31)).to(torch.int32)
        if name.endswith("norm.bias"):
            weights[name] = torch.full_like(weights[name], -(2**31))
    limits = torch.tensor([2**31 - 1, -(2**31), 0, 1, -1, 2**30, -(2**31) + 1], dtype=torch.int32)
    rows = limits[torch.randint(0, len(limits), (6, SHAPE.width), generator=torch.Generator().manual_seed(1))]
    rows[2], rows[3], rows[4] = 0, -(2**31), 2**31 - 1
    expected = ReferenceExecutor(chosen.program, weights, 1, 3).run(rows, 6, Sampling())
    found = TraceExecutor(Engine(chosen.program, weights, 1, 3, backend=backend)).run(rows, 6, Sampling())
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(BACKENDS), lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_any_batch_gives_every_sequence_what_it_gets_alone(monkeypatch, chosen, name, lengths):
    monkeypatch.setattr(engine_module, "CHUNK_ROWS", 24)  # some sequences alone in a group, some larger than one
    engine = Engine(chosen.program, chosen.weights, 0, 2, threads=2, backend=name)
    texts = [tokens_of(count, seed) for seed, count in enumerate(lengths)]
    states = [engine.open(max(1, count), Sampling(), max(1, count)) for count in lengths]
    found = engine.forward(list(zip(states, texts, strict=True)))
    reference = ReferenceExecutor(chosen.program, chosen.weights, 0, 2)
    for rows, text in zip(found, texts, strict=True):
        expected = reference.run(text, len(text), Sampling())[POOLED] if len(text) else torch.empty(0, SHAPE.width)
        assert torch.equal(rows, expected.to(torch.int32))


def test_any_split_into_segments_gives_the_same_answer(chosen, engines):
    prompt = tokens_of(11).tolist()
    answers = [
        list(generate(engines(chosen, *cuts), prompt, 1))
        for count in range(3)
        for cuts in itertools.combinations((1, 2), count)
    ]
    assert answers == [answers[0]] * 4


def test_the_answer_is_the_largest_component_of_the_embedding_that_enters_the_last_layer(chosen, engines):
    texts = [tokens_of(count, seed=count) for count in (11, 1, 30)]
    first, last = engines(chosen, 2)
    found = embeddings(first, texts)
    assert found.dtype == torch.int32
    for row, text in zip(found, texts, strict=True):
        assert list(generate([first, last], text.tolist(), 1)) == [int(row.argmax())]
        assert torch.equal(engines(chosen)[0].logits(text)[-1], row)


def test_the_embedding_is_the_floored_mean_of_the_last_rows(chosen, backend):
    engine = Engine(chosen.program, chosen.weights, 0, 2, backend=backend)
    trace = TraceExecutor(engine).run(tokens_of(13), 13, Sampling())
    mean = torch.floor(trace["layers.1.mlp.residual"].double().sum(dim=0) / 13)
    assert torch.equal(embeddings(engine, [tokens_of(13)])[0].double(), mean)


def test_later_tokens_change_earlier_rows(chosen, backend):
    engine = Engine(chosen.program, chosen.weights, 0, 2, backend=backend)
    text = tokens_of(13)
    other = torch.cat([text[:-1], (text[-1:] + 1) % SHAPE.vocab])
    rows = [engine.forward([(engine.open(13, Sampling(), 13), each)])[0] for each in (text, other)]
    assert not torch.equal(rows[0][0], rows[1][0])


def test_a_sequence_cannot_be_continued(chosen, engines):
    (engine,) = engines(chosen)
    reference = ReferenceExecutor(chosen.program, chosen.weights)
    for executor in (engine, reference):
        state = executor.open(4, Sampling(), 9)
        executor.forward([(state, tokens_of(4))])
        with pytest.raises(InvalidRowsError, match="enter at once, and this one already holds 4") as caught:
            executor.forward([(state, tokens_of(1))])
        assert "new sequence" in caught.value.advice


@pytest.mark.parametrize("layers", [(0, 3), (0, 2), (1, 3), (2, 3)])
def test_a_trace_computed_layer_by_layer_is_the_reference(chosen, backend, layers):
    text, salt = tokens_of(9), bytes(32)
    rows = text
    if layers[0]:
        before = Engine(chosen.program, chosen.weights, 0, layers[0])
        rows = before.forward([(before.open(9, Sampling(), 9), text)])[0]
    trace = Trace(chosen.program, chosen.weights, layers, TracedSequence(rows, text, Sampling(), salt), backend)
    expected = ReferenceExecutor(chosen.program, chosen.weights, *layers).run(rows, 9, Sampling())
    assert all(torch.equal(trace.named(name), tensor) for name, tensor in expected.items())
    streamed = dict(zip((tensor.name for tensor in trace.layout.tensors), trace.stream(), strict=True))
    assert all(torch.equal(streamed[name], tensor) for name, tensor in expected.items())


def test_the_pooled_rows_are_the_boundary_before_the_last_layer():
    program = program_of("encoder", SHAPE)
    assert program.is_encoder
    assert not program_of("decoder", PRESETS["tiny"]).is_encoder
    assert program.output_of(0, 2) == program.input_of(2, 3) == POOLED
    assert [op.kind for op in program.segment(2, 3)] == ["sample_blocks", "sample"]
    assert program.tensors[POOLED].shape == (-1, SHAPE.width)
