"""Fast engine, trace and reference agree in every bit of every tensor."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_chain.engine import native_executor
from nexus_chain.engine.engine import CHUNK_ROWS, Engine
from nexus_chain.engine.generation import generate
from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.engine.trace import TraceExecutor
from nexus_chain.program import PRESETS, ActivationBits, random_model
from nexus_chain.program.blocks import LAYER_MATRICES
from nexus_chain.program.fixed_point import EXP2_ONE, LOG2_ONE
from nexus_chain.program.sampling import Sampling

NOISY = Sampling.at_temperature(0.8, bytes(range(32)))
BACKENDS = ("native", "torch")


def tokens_of(count: int, vocab: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocab, (count,), generator=generator, dtype=torch.int32)


def assert_same_tensors(found, expected):
    assert list(found) == list(expected)
    wrong = [name for name in expected if not torch.equal(found[name], expected[name])]
    assert wrong == []
    assert all(found[name].dtype == expected[name].dtype for name in expected)


@pytest.fixture(autouse=True)
def always_threaded(monkeypatch):
    """Tiny batches would run on one thread; the tests want the threads to meet."""
    monkeypatch.setattr(native_executor, "SINGLE_THREAD_BYTES", 0)


PRESETS_OF_ALL_KINDS = [
    ("tiny", 23),
    ("tiny-bias", 9),
    ("tiny-wide", 5),
    ("tiny-odd", 9),
    ("tiny-encoder", 19),
    ("tiny-experts", 19),
    ("tiny-head-norm", 19),
]


@pytest.mark.parametrize(("preset", "count"), PRESETS_OF_ALL_KINDS)
@pytest.mark.parametrize("sampling", [Sampling(), NOISY], ids=["greedy", "gumbel"])
def test_every_tensor_equals_the_reference(model, engines, preset, count, sampling):
    chosen = model(preset)
    rows, prompt = tokens_of(count, chosen.program.shape.vocab), count // 2
    expected = ReferenceExecutor(chosen.program, chosen.weights).run(rows, prompt, sampling)
    (engine,) = engines(chosen)
    assert_same_tensors(TraceExecutor(engine).run(rows, prompt, sampling), expected)


@pytest.mark.parametrize("preset", ["tiny-bias", "tiny-experts"])
@pytest.mark.parametrize("bits", [ActivationBits(15, 15, 15, 15, 15), ActivationBits(8, 8, 8, 8, 8)], ids=["15", "8"])
def test_both_activation_widths_equal_the_reference(backend, bits, preset):
    chosen = random_model(PRESETS[preset], seed=3, bits=bits)
    rows = tokens_of(7, chosen.program.shape.vocab)
    expected = ReferenceExecutor(chosen.program, chosen.weights).run(rows, 3, NOISY)
    engine = Engine(chosen.program, chosen.weights, backend=backend)
    assert_same_tensors(TraceExecutor(engine).run(rows, 3, NOISY), expected)


@pytest.mark.parametrize("bits", [None, ActivationBits(15, 15, 15, 15, 15)], ids=["default", "15"])
@pytest.mark.parametrize(
    ("preset", "matrices"),
    [("tiny-bias", LAYER_MATRICES), ("tiny-wide", LAYER_MATRICES), ("tiny-experts", LAYER_MATRICES[:4])],
)
def test_matrices_in_two_parts_equal_the_reference(backend, bits, preset, matrices):
    finer = ["head", *(f"0.{matrix}" for matrix in matrices)]
    chosen = random_model(PRESETS[preset], seed=5, bits=bits, finer=finer)
    rows = tokens_of(7, chosen.program.shape.vocab)
    expected = ReferenceExecutor(chosen.program, chosen.weights).run(rows, 3, NOISY)
    engine = Engine(chosen.program, chosen.weights, threads=2, backend=backend)
    assert_same_tensors(TraceExecutor(engine).run(rows, 3, NOISY), expected)


@pytest.mark.parametrize("preset", ["tiny-bias", "tiny-experts"])
def test_extreme_rows_and_weights_equal_the_reference(model, backend, preset):
    chosen = model(preset)
    weights = dict(chosen.weights)
    for name in weights:
        if name.endswith(".weight"):
            weights[name] = torch.where(weights[name] > 0, 127, -128).to(torch.int8)
        if name.endswith(".bias"):
            weights[name] = torch.full_like(weights[name], -(2**31))
        if name.endswith(".scale"):
            weights[name] = torch.stack([torch.full_like(weights[name][:, 0], 65535), weights[name][:, 1] + 9], dim=1)
    limits = torch.tensor([2**31 - 1, -(2**31), 0, 1, -1, 2**30, -(2**31) + 1], dtype=torch.int32)
    rows = limits[torch.randint(0, len(limits), (6, 32), generator=torch.Generator().manual_seed(1))]
    rows[2], rows[3] = 0, -(2**31)
    expected = ReferenceExecutor(chosen.program, weights, 1, 2).run(rows, 2, NOISY)
    engine = Engine(chosen.program, weights, 1, 2, backend=backend)
    assert_same_tensors(TraceExecutor(engine).run(rows, 2, NOISY), expected)


@pytest.mark.parametrize("entry", ["zero", "largest", "rising"])
def test_any_table_in_range_gives_the_reference(model, backend, entry):
    """A publisher must not be able to stop the nodes that load its tables, or have them convicted for honest work."""
    chosen = model("tiny-bias")
    weights = dict(chosen.weights)
    for name, one in (("tables.exp2", EXP2_ONE), ("tables.log2", LOG2_ONE)):
        ramp = torch.arange(257) * (one >> 8)
        values = {"zero": torch.zeros_like(ramp), "largest": torch.full_like(ramp, one), "rising": ramp}
        weights[name] = values[entry].to(torch.int32)
    rows = tokens_of(12, chosen.program.shape.vocab)
    expected = ReferenceExecutor(chosen.program, weights).run(rows, 3, NOISY)
    engine = Engine(chosen.program, weights, backend=backend)
    assert_same_tensors(TraceExecutor(engine).run(rows, 3, NOISY), expected)


def test_long_sequences_agree_between_backends(model):
    """More than one block of 1024 positions, beyond what the reference can run quickly."""
    chosen = model("tiny-long")
    rows = tokens_of(1100, chosen.program.shape.vocab)
    native, torch_only = (
        TraceExecutor(Engine(chosen.program, chosen.weights, backend=name)).run(rows, 1090, NOISY) for name in BACKENDS
    )
    assert_same_tensors(native, torch_only)


@pytest.mark.parametrize("backend", ["native"])
def test_chunked_prefill_equals_one_run(model, engines):
    chosen = model("tiny-long")
    rows = tokens_of(2 * CHUNK_ROWS + 77, chosen.program.shape.vocab)
    (engine,) = engines(chosen)
    state = engine.open(5, NOISY, len(rows))
    traced = TraceExecutor(engine).run(rows, 5, NOISY)
    assert torch.equal(engine.forward([(state, rows)])[0], traced["sample.token"])


@pytest.mark.parametrize("preset", ["tiny", "tiny-experts"])
def test_any_split_into_segments_gives_the_same_answer(model, engines, preset):
    chosen = model(preset)
    prompt, edges = tokens_of(6, chosen.program.shape.vocab).tolist(), range(1, chosen.program.shape.layers)
    answers = [
        list(generate(engines(chosen, *cuts), prompt, 12, NOISY))
        for count in range(len(edges) + 1)
        for cuts in itertools.combinations(edges, count)
    ]
    assert all(answer == answers[0] for answer in answers)
    assert len(answers) == 2 ** len(edges)


@pytest.mark.parametrize("preset", ["tiny", "tiny-experts"])
def test_decoding_equals_prefill_of_the_answer(model, engines, preset):
    chosen = model(preset)
    prompt = tokens_of(5, chosen.program.shape.vocab, seed=4).tolist()
    built = engines(chosen, 1)
    answer = list(generate(built, prompt, 20, NOISY))
    rows = torch.tensor(prompt + answer[:-1], dtype=torch.int32)
    first = TraceExecutor(built[0]).run(rows, len(prompt), NOISY)
    boundary = first[chosen.program.output_of(0, 1)]
    last = TraceExecutor(built[1]).run(boundary, len(prompt), NOISY)
    assert last["sample.token"].tolist() == answer


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    preset=st.sampled_from(["tiny", "tiny-experts"]),
    name=st.sampled_from(BACKENDS),
    lengths=st.lists(st.integers(1, 18), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_any_batch_composition_gives_the_same_rows(model, preset, name, lengths, seed):
    """Sequences of ragged lengths, fed in arbitrary pieces (also empty ones), beside arbitrary others."""
    chosen, schedule = model(preset), random.Random(seed)
    last = chosen.program.shape.layers - 1
    engine = Engine(chosen.program, chosen.weights, 0, last, threads=2, backend=name)
    fed = [tokens_of(n, chosen.program.shape.vocab, number) for number, n in enumerate(lengths)]
    alone = [engine.forward([(engine.open(n, Sampling(), n), rows)])[0] for n, rows in zip(lengths, fed, strict=True)]
    states = [engine.open(n, Sampling(), n) for n in lengths]
    pieces: list[list[torch.Tensor]] = [[] for _ in lengths]
    while any(state.length < n for state, n in zip(states, lengths, strict=True)):
        stops = [schedule.randint(state.length, n) for state, n in zip(states, lengths, strict=True)]
        batch = [(state, rows[state.length : stop]) for state, rows, stop in zip(states, fed, stops, strict=True)]
        for number, found in enumerate(engine.forward(batch)):
            pieces[number].append(found)
    assert all(torch.equal(torch.cat(piece), rows) for piece, rows in zip(pieces, alone, strict=True))


@pytest.mark.parametrize("preset", ["tiny", "tiny-experts"])
def test_threads_do_not_change_bits(model, preset):
    chosen = model(preset)
    rows = tokens_of(40, chosen.program.shape.vocab)
    one, three = (
        TraceExecutor(Engine(chosen.program, chosen.weights, threads=n, backend="native")).run(rows, 30, NOISY)
        for n in (1, 3)
    )
    assert_same_tensors(three, one)


def test_logits_are_those_of_the_reference(model, engines):
    chosen = model("tiny")
    rows = tokens_of(9, chosen.program.shape.vocab)
    expected = ReferenceExecutor(chosen.program, chosen.weights).run(rows, 1, Sampling())["head.logits"]
    assert torch.equal(engines(chosen)[0].logits(rows), expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("preset", "count"), [one for one in PRESETS_OF_ALL_KINDS if one[0] != "tiny-encoder"])
@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_sequence_that_begins_as_another_goes_on_as_if_it_had_been_fed(model, backend, preset, count, data):
    chosen = model(preset)
    engine = Engine(chosen.program, chosen.weights, threads=2, backend=backend)
    shared = data.draw(st.integers(1, count - 1))
    vocab = chosen.program.shape.vocab
    first, second = tokens_of(count, vocab), tokens_of(count, vocab, seed=1)
    second[:shared] = first[:shared]
    donor, alone = engine.open(count, Sampling(), count + 4), engine.open(count, NOISY, count)
    engine.forward([(donor, first), (alone, second)][:1])
    engine.forward([(donor, first[:3])])  # it went on meanwhile
    expected = engine.forward([(alone, second)])[0]
    heir = engine.open(count, NOISY, count)
    engine.begin_as(heir, donor, shared)
    assert torch.equal(engine.forward([(heir, second[shared:])])[0], expected)
    for mine, theirs in zip(heir.caches, alone.caches, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(mine.tensors, theirs.tensors, strict=True))
