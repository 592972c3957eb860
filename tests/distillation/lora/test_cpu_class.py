"""The class of a processor, and what a training's process is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nexus_chain.distillation.lora import cpu_class as module
from nexus_chain.distillation.lora.cpu_class import ARITHMETIC, cpu_class, processor_flags, training_environment

AVX2 = frozenset({"avx2", "fma", "f16c", "bmi2", "sse4_2"})


@pytest.mark.parametrize(
    ("machine", "flags", "named"),
    [
        ("x86_64", AVX2, "x86-64-avx2"),
        ("AMD64", AVX2 | {"avx512f", "avx512_vnni"}, "x86-64-avx2"),
        ("x86_64", AVX2 - {"fma"}, "x86-64-unclassified"),
        ("x86_64", frozenset(), "x86-64-unclassified"),
        ("aarch64", frozenset(), "aarch64-unclassified"),
    ],
)
def test_classes(monkeypatch: pytest.MonkeyPatch, machine: str, flags: frozenset[str], named: str) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(module, "processor_flags", lambda: flags)
    assert cpu_class() == named


def test_this_machine_has_a_class() -> None:
    assert cpu_class()
    assert all(flag == flag.strip() for flag in processor_flags())


def test_no_secret_reaches_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "NEXUS_PRIVATE_KEY", "PYTHONSTARTUP", "LD_PRELOAD"):
        monkeypatch.setenv(name, "s3cret")
    found = training_environment(2)
    assert "s3cret" not in found.values()
    assert found["OMP_NUM_THREADS"] == "2"
    assert found.items() >= ARITHMETIC.items()


def test_torch_follows_the_environment() -> None:
    """The settings are read when torch loads: in a process of its own they hold."""
    capability = "AVX2" if "avx2" in processor_flags() else "DEFAULT"
    script = "import torch; print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())"
    found = subprocess.run(
        [sys.executable, "-c", script], env=training_environment(1), capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [capability, "1"]
