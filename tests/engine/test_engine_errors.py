"""What the engine refuses, and that refusing changes nothing."""

from __future__ import annotations

import shutil

import pytest
import torch

from nexus_chain.engine import engine as engine_module
from nexus_chain.engine import native_library, self_test
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.errors import (
    ContextExceededError,
    InvalidRowsError,
    KernelUnavailableError,
    StateMismatchError,
)
from nexus_chain.engine.generation import generate
from nexus_chain.program.errors import TensorMismatchError
from nexus_chain.program.sampling import Sampling


@pytest.fixture
def engine(model, engines):
    return engines(model("tiny"))[0]


def row(*tokens: int) -> torch.Tensor:
    return torch.tensor(tokens, dtype=torch.int32)


@pytest.mark.parametrize(("prompt", "capacity"), [(0, 4), (5, 4), (4, 65)])
def test_open_refuses_what_does_not_fit(engine, prompt, capacity):
    with pytest.raises(ContextExceededError, match="Shorten the prompt"):
        engine.open(prompt, Sampling(), capacity)


def test_prompt_longer_than_the_context_is_refused(engine):
    with pytest.raises(ContextExceededError):
        next(generate([engine], range(70), 1))


def test_forward_refuses_more_rows_than_were_opened(engine):
    state = engine.open(2, Sampling(), 3)
    with pytest.raises(ContextExceededError, match="larger capacity"):
        engine.forward([(state, row(1, 2, 3, 4))])
    assert state.length == 0


@pytest.mark.parametrize("rows", [torch.zeros(3, dtype=torch.int64), torch.zeros(3, 64, dtype=torch.int32)])
def test_forward_refuses_rows_of_another_kind(engine, rows):
    state = engine.open(2, Sampling(), 8)
    with pytest.raises(InvalidRowsError):
        engine.forward([(state, rows)])
    assert state.length == 0


def test_forward_refuses_a_sequence_twice(engine):
    state = engine.open(2, Sampling(), 8)
    with pytest.raises(StateMismatchError):
        engine.forward([(state, row(1)), (state, row(2))])


def test_forward_refuses_the_state_of_another_segment(model, engines):
    first, second = engines(model("tiny"), 1)
    with pytest.raises(StateMismatchError):
        second.forward([(first.open(2, Sampling(), 8), torch.zeros(1, 64, dtype=torch.int32))])


def test_a_sequence_that_is_not_new_begins_as_no_other(engine):
    donor, fed = engine.open(4, Sampling(), 8), engine.open(4, Sampling(), 8)
    engine.forward([(donor, row(1, 2, 3, 4)), (fed, row(1))])
    new = engine.open(4, Sampling(), 8)
    for state, other, length in ((fed, donor, 2), (new, donor, 4), (new, donor, 5), (new, fed, 2), (new, donor, -1)):
        with pytest.raises(StateMismatchError):
            engine.begin_as(state, other, length)
    assert (new.length, fed.length) == (0, 1)
    engine.begin_as(new, donor, 3)
    assert new.length == 3


def test_empty_rows_give_empty_outputs(model, engines):
    first, last = engines(model("tiny"), 1)
    assert first.forward([(first.open(1, Sampling(), 4), row())])[0].shape == (0, 64)
    assert last.forward([(last.open(1, Sampling(), 4), torch.zeros(0, 64, dtype=torch.int32))])[0].shape == (0,)
    assert first.forward([]) == []


def test_prompt_rows_before_the_last_sample_nothing(engine):
    state = engine.open(4, Sampling(), 8)
    assert engine.forward([(state, row(1, 2, 3))])[0].shape == (0,)
    assert engine.forward([(state, row(4))])[0].shape == (1,)


def test_tokens_outside_the_vocabulary_are_clamped(engine):
    outputs = [engine.forward([(engine.open(1, Sampling(), 4), row(token))])[0] for token in (-5, 0, 639, 2**31 - 1)]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[2], outputs[3])


def test_logits_need_all_layers(model, engines):
    first, _ = engines(model("tiny"), 1)
    with pytest.raises(InvalidRowsError, match="all layers"):
        first.logits(row(1))


def test_missing_weight_is_named(model, backend):
    chosen = model("tiny")
    weights = {name: tensor for name, tensor in chosen.weights.items() if name != "layers.1.mlp.gate.scale"}
    with pytest.raises(TensorMismatchError, match=r"layers\.1\.mlp\.gate\.scale"):
        Engine(chosen.program, weights, backend=backend)
    assert Engine(chosen.program, weights, 0, 1, backend=backend).is_first


def test_scale_out_of_range_is_named(model, backend):
    chosen = model("tiny")
    name = "layers.0.mlp.up.scale"
    weights = {**chosen.weights, name: chosen.weights[name].clone()}
    weights[name][5, 0] = 1 << 16
    with pytest.raises(TensorMismatchError, match=r"layers\.0\.mlp\.up\.scale .* row 5"):
        Engine(chosen.program, weights, backend=backend)


def test_misaligned_and_strided_weights_give_the_same_bits(model, backend):
    chosen = model("tiny")
    odd = dict(chosen.weights)
    name = "layers.0.mlp.gate.scale"
    raw = torch.zeros(odd[name].nbytes + 1, dtype=torch.uint8)
    raw[1:] = odd[name].contiguous().view(torch.uint8).flatten()
    odd["layers.0.mlp.up.weight"] = odd["layers.0.mlp.up.weight"].t().contiguous().t()
    odd[name] = torch.frombuffer(raw.numpy(), dtype=torch.int32, offset=1).view(-1, 2)
    prompt = [3, 1, 4, 1, 5]
    answers = [list(generate([Engine(chosen.program, w, backend=backend)], prompt, 8)) for w in (chosen.weights, odd)]
    assert answers[0] == answers[1]


def test_kernels_that_get_bits_wrong_are_not_trusted(monkeypatch, model):
    def off_by_one(model, tokens):
        found = self_test.run_torch(model, tokens)
        return {name: tensor + 1 if name == "head.logits" else tensor for name, tensor in found.items()}

    monkeypatch.setattr(self_test, "run_native", off_by_one)
    self_test.check_kernels.cache_clear()
    try:
        with pytest.raises(KernelUnavailableError, match=r"head\.logits"):
            engine_module.choose_backend("native")
        assert engine_module.choose_backend("auto") == "torch"
    finally:
        self_test.check_kernels.cache_clear()


def test_missing_compiler_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(KernelUnavailableError, match="Install gcc"):
        native_library.load_library.__wrapped__()


def test_failing_compiler_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(native_library, "FLAGS", ("-no-such-flag",))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(KernelUnavailableError, match="cannot build"):
        native_library.load_library.__wrapped__()


def test_cached_library_that_does_not_load_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = native_library._cache_folder()
    (folder / f"kernels-{native_library._build_key()}.so").write_bytes(b"not a library")
    with pytest.raises(KernelUnavailableError, match="do not load"):
        native_library.load_library.__wrapped__()
