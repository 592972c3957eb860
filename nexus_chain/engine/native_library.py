"""Builds and loads the compiled kernels in ``native/``.

The system compiler compiles the C sources once for each machine. The library lies in the user's cache folder, under a
name that depends on the sources, the flags and the CPU. Without a compiler there is no library, and the engine uses
torch. ``self_test`` says whether the kernels are *right*.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from nexus_chain.engine.errors import KernelUnavailableError

SOURCE = Path(__file__).parent / "native" / "program.c"
COMPILERS = ("cc", "gcc", "clang")
# No -ffast-math: kernels rely on correctly rounded doubles. But no double is infinite or NaN, so that loops with floor,
# minimum and maximum become vector code. -fwrapv: sums wrap like torch's. Every compiler of the kernels needs these.
KERNEL_FLAGS = (
    "-std=gnu11",
    "-O3",
    "-fwrapv",
    "-fno-trapping-math",
    "-ffinite-math-only",
    "-fno-signed-zeros",
    "-fno-strict-aliasing",
)
# A developer's choice of another processor's kernels than this one's, which must have its instructions (haswell: AVX2).
TARGET = os.environ.get("NEXUS_KERNEL_TARGET", "native")
FLAGS = (*KERNEL_FLAGS, f"-march={TARGET}", "-fopenmp", "-shared", "-fPIC")
COMPILE_SECONDS = 120


class StepPointers(ctypes.Structure):
    """Mirror of ``Step`` in ``native/steps.h``."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("sampled", ctypes.c_int32),
        ("chained", ctypes.c_int32),
        ("barrier", ctypes.c_int32),
        ("inputs", ctypes.c_void_p * 6),
        ("outputs", ctypes.c_void_p * 5),
        ("weights", ctypes.c_void_p * 3),
        ("params", ctypes.c_int64 * 8),
    )


LAYER_FIELDS = ("keys", "mantissas", "exponents", "values", "magnitudes")


class LayerPointers(ctypes.Structure):
    """Mirror of ``LayerCache`` in ``native/steps.h``."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in LAYER_FIELDS)


class SequencePointers(ctypes.Structure):
    """Mirror of ``Sequence`` in ``native/steps.h``."""

    _fields_ = (
        ("row", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("position", ctypes.c_int64),
        ("capacity", ctypes.c_int64),
        ("cache", ctypes.c_void_p),
    )


class BatchPointers(ctypes.Structure):
    """Mirror of ``Batch`` in ``native/steps.h``."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("sequences", ctypes.c_int64),
        ("sampled", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("sequence", ctypes.c_void_p),
        ("positions", ctypes.c_void_p),
        ("sampled_rows", ctypes.c_void_p),
        ("sampling", ctypes.c_void_p),
    )


class MatrixPointers(ctypes.Structure):
    """Mirror of ``Matrix`` in ``native/steps.h``."""

    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
    )


MIRRORS = (StepPointers, LayerPointers, SequencePointers, BatchPointers, MatrixPointers)


@cache
def load_library() -> ctypes.CDLL:
    """The compiled kernels, built first if this machine has not yet done so.

    Raises :class:`KernelUnavailableError` without a working compiler or OpenMP.
    """
    path = _cache_folder() / f"kernels-{_build_key()}.so"
    if not path.exists():
        _compile(path)
    try:
        library = ctypes.CDLL(str(path))
    except OSError as cause:
        raise KernelUnavailableError(
            f"The compiled kernels do not load ({cause})", advice=f"Delete {path} and start again."
        ) from cause
    _check_layout(library)
    return library


def _cache_folder() -> Path:
    """A private folder: whoever can write here runs code in this process."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "neural-nexus"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as cause:
        raise KernelUnavailableError(
            f"No folder for compiled kernels ({cause})", advice="Set XDG_CACHE_HOME to a folder you can write to."
        ) from cause
    if owner != os.getuid():
        raise KernelUnavailableError(
            f"{folder} belongs to somebody else", advice="Set XDG_CACHE_HOME to a folder of your own."
        )
    return folder


def _build_key() -> str:
    """Changes with the sources, the flags and the instructions this CPU has."""
    total = hashlib.sha256(" ".join(FLAGS).encode())
    for source in sorted(SOURCE.parent.iterdir()):
        total.update(source.read_bytes())
    total.update(platform.machine().encode())
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        flags = [line for line in cpu.read_text().splitlines() if line.startswith(("flags", "Features", "model name"))]
        total.update("\n".join(sorted(set(flags))).encode())
    return total.hexdigest()[:24]


def _compile(path: Path) -> None:
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise KernelUnavailableError(
            "No C compiler on PATH", advice="Install gcc to make the engine several times faster."
        )
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / path.name
        command = [compiler, *FLAGS, str(SOURCE), "-o", str(built), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMPILE_SECONDS)
        except (subprocess.SubprocessError, OSError) as cause:
            detail = str(getattr(cause, "stderr", "") or cause).strip().splitlines()
            raise KernelUnavailableError(
                f"{compiler} cannot build the kernels ({detail[0] if detail else cause})",
                advice="Install a C compiler with OpenMP to make the engine several times faster.",
            ) from cause
        built.replace(path)


def _check_layout(library: ctypes.CDLL) -> None:
    sizes = (ctypes.c_int64 * len(MIRRORS))()
    library.nexus_layout(sizes)
    if [ctypes.sizeof(mirror) for mirror in MIRRORS] != list(sizes):
        raise KernelUnavailableError("The kernels were built for another ABI", advice="Use the torch backend.")
    library.nexus_run.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    library.nexus_run.restype = ctypes.c_int
