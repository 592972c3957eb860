"""The exact product: the self-test's choice is exact on this CPU and on lesser ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nexus_chain.engine.cache import Batch, open_state
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.products import PRODUCTS, double, exact_product, full_range_cases, is_exact, product_name
from nexus_chain.engine.torch_executor import TorchExecutor
from nexus_chain.engine.trace import TraceExecutor
from nexus_chain.program.sampling import Sampling

ROOT = Path(__file__).resolve().parents[2]
CHECK = """
import sys, torch
from dataclasses import replace
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.generation import generate
from nexus_chain.engine.products import exact_product, is_exact, product_name
from nexus_chain.program import PRESETS, random_model
assert is_exact(exact_product())
model = random_model(replace(PRESETS["tiny"], context=128), seed=11)
engine = Engine(model.program, model.weights, threads=2)
torch_engine = Engine(model.program, model.weights, threads=2, backend="torch")
prompt = [5 + 7 * i % 90 for i in range(70)]  # more keys than the kernels take together
answers = [list(generate([e], prompt, 10)) for e in (engine, torch_engine)]
print(product_name(), engine.backend, answers[0], answers[1], sep=";")
"""


def run_check(**environment: str) -> list[str]:
    """(product, backend, answer, torch answer) as a fresh process with this environment sees them."""
    run = subprocess.run(
        [sys.executable, "-c", CHECK], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return run.stdout.strip().split(";")


def test_chosen_product_is_exact():
    assert is_exact(exact_product())
    assert exact_product() is PRODUCTS[product_name()]


@pytest.mark.parametrize("name", ["split", "double"])
def test_fallbacks_are_exact_everywhere(name):
    assert is_exact(PRODUCTS[name])


def test_a_saturating_product_is_refused():
    def saturating(x, w):
        """What AVX2 byte instructions do: pairs of products clamp to int16."""
        pairs = (x.to(torch.int32)[:, None, :] + 128) * w.to(torch.int32)[None, :, :]
        pairs = pairs.unflatten(-1, (-1, 2)).sum(-1).clamp(-(2**15), 2**15 - 1)
        return (pairs.sum(-1) - 128 * w.to(torch.int32).sum(-1)).to(torch.int32)

    assert not is_exact(saturating)


@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_every_exact_product_gives_the_same_tensors(model, name):
    if not is_exact(PRODUCTS[name]):
        assert name == "direct"
        return
    chosen = model("tiny")
    ops, names = chosen.program.ops, ["head.logits", "layers.2.mlp.down.0.residual"]
    rows = torch.arange(11, dtype=torch.int32)
    batch = Batch([(open_state(ops, 1, Sampling(), 11), 11)], last=True)
    found = TorchExecutor(ops, chosen.weights, names, PRODUCTS[name]).run(rows, batch)
    expected = TraceExecutor(Engine(chosen.program, chosen.weights)).run(rows, 1, Sampling())
    assert all(torch.equal(found[key], expected[key]) for key in names)


def test_large_products_are_exact():
    generator = torch.Generator().manual_seed(2)
    x = torch.randint(-128, 128, (70, 4096), generator=generator, dtype=torch.int8)
    w = torch.randint(-128, 128, (2100, 4096), generator=generator, dtype=torch.int8)
    assert torch.equal(exact_product()(x, w), double(x, w))
    assert len(list(full_range_cases())) > 4


def test_cpu_without_vnni_gives_the_same_bits():
    _, _, expected, _ = run_check()
    product, _, answer, torch_answer = run_check(ONEDNN_MAX_CPU_ISA="AVX2")
    assert product in PRODUCTS
    assert answer == torch_answer == expected


@pytest.mark.parametrize("target", ["x86-64", "haswell"])
def test_kernels_for_older_processors_give_the_same_bits(target):
    _, _, expected, _ = run_check()
    _, backend, answer, _ = run_check(NEXUS_KERNEL_TARGET=target)
    assert backend == "native"
    assert answer == expected


@pytest.mark.parametrize("target", ["x86-64", "haswell", "native"])
def test_sums_beyond_32_bits_are_whole(target):
    """4096 columns of 15 bits whose products all have one sign, of few rows and of many."""
    environment = {**os.environ, "NEXUS_KERNEL_TARGET": target}
    command = [sys.executable, "-m", "tests.support.wide_sums"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True"] * 4


def test_machine_without_compiler_falls_back_to_torch(tmp_path):
    _, _, expected, _ = run_check()
    _, backend, answer, _ = run_check(PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert backend == "torch"
    assert answer == expected
