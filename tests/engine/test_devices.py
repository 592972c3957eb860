"""What an accelerator runs, on the CPU: its padded product, and that every tensor stays where the weights are."""

from __future__ import annotations

import pytest
import torch

from nexus_chain.engine.cache import Batch, open_state
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.errors import KernelUnavailableError
from nexus_chain.engine.products import aligned, double, is_exact, split
from nexus_chain.engine.torch_executor import TorchExecutor
from nexus_chain.engine.trace import TraceExecutor
from nexus_chain.program.sampling import Sampling

NOISY = Sampling.at_temperature(0.8, bytes(range(32)))
PRESETS = ("tiny", "tiny-bias", "tiny-encoder", "tiny-experts")
ROWS, PROMPT = 11, 9


def trace_as_on_a_device(model) -> dict[str, torch.Tensor]:
    """Every tensor, with the product that CUDA gets, where tensors made without a device would be nowhere."""
    ops = model.program.ops
    names = [spec.name for op in ops for spec in op.outputs]
    rows = torch.arange(ROWS, dtype=torch.int32) * 7 % model.program.shape.vocab
    batch = Batch([(open_state(ops, PROMPT, NOISY, ROWS), ROWS)], last=True)
    executor = TorchExecutor(ops, model.weights, names, aligned(split))
    with torch.device("meta"):
        return executor.run(rows, batch)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_path_of_accelerators_gives_the_bits_of_the_cpu(model, preset):
    chosen = model(preset)
    rows = torch.arange(ROWS, dtype=torch.int32) * 7 % chosen.program.shape.vocab
    expected = TraceExecutor(Engine(chosen.program, chosen.weights)).run(rows, PROMPT, NOISY)
    found = trace_as_on_a_device(chosen)
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def test_a_padded_product_is_exact_and_keeps_its_shape():
    assert is_exact(aligned(split))
    x, w = torch.full((3, 21), -128, dtype=torch.int8), torch.full((5, 21), -128, dtype=torch.int8)
    assert torch.equal(aligned(split)(x, w), double(x, w))


def test_a_padded_product_meets_the_sizes_that_cuda_wants():
    def demanding(x, w):
        assert len(x) > 16
        assert not any(size % 8 for size in (*x.shape, *w.shape))
        return split(x, w)

    assert is_exact(aligned(demanding))


def test_a_coarser_precision_of_float_products_changes_no_bit(model):
    chosen = model("tiny")
    expected = trace_as_on_a_device(chosen)
    torch.set_float32_matmul_precision("medium")
    try:
        found = trace_as_on_a_device(chosen)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def test_a_machine_without_a_gpu_says_so(model, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(KernelUnavailableError, match="CUDA"):
        Engine(model("tiny").program, model("tiny").weights, backend="cuda")
