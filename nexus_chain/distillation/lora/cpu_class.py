"""On which processors a training gives the same bits, and the environment that makes it so."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

#: Chosen before the libraries load: each picks its kernels when it starts. What they do, and what was measured: README.
ARITHMETIC = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "MKL_DYNAMIC": "FALSE",
}
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONWARNINGS")
_NEEDED_FLAGS = frozenset({"avx2", "fma", "f16c", "bmi2"})

UNCLASSIFIED = "unclassified"
"""How the name of a class ends that promises nothing."""


def cpu_class() -> str:
    """The class of this machine's processor: machines of one class train the same adapter of the same certificate.

    "x86-64-avx2" for every processor of that architecture with AVX2 and FMA, more or less of it besides; else the
    architecture, and "unclassified", which promises nothing.
    """
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return "x86-64-avx2" if processor_flags() >= _NEEDED_FLAGS else f"x86-64-{UNCLASSIFIED}"
    return f"{machine}-{UNCLASSIFIED}"


def processor_flags() -> frozenset[str]:
    """What the processor says it can do, as Linux spells it; empty where nothing says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), frozenset())


def training_environment(threads: int, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a training's process: nothing else of this one's gets there, no key and no secret.

    ``changes``: to measure what a setting does.
    """
    package = Path(__file__).resolve().parents[3]
    own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **own,
        **ARITHMETIC,
        "PYTHONPATH": str(package),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        **(changes or {}),
    }
