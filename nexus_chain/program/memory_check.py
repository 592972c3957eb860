"""Whether this machine has the memory that an import needs, asked before anything large is read."""

from __future__ import annotations

import math
from pathlib import Path

from nexus_chain.program.checkpoint import BLOCK_ELEMENTS
from nexus_chain.program.descriptors import Program, TensorSpec
from nexus_chain.program.errors import NotEnoughMemoryError

MEMORY_FILE = Path("/proc/meminfo")
WORKING_COPIES = 6  # of a block of rows in float64, while it is folded and rounded
GIB = 1 << 30
IMPORT = "Importing this model"


def require_memory(program: Program, *, bytes_per_weight: int | None = None, purpose: str = IMPORT) -> None:
    """Raise :class:`NotEnoughMemoryError` unless the program's weights and one block of rows fit.

    ``bytes_per_weight`` counts for weights held in another type than the program's, such as float32.
    """
    weights = sum(_bytes(spec, bytes_per_weight) for spec in program.weights)
    needed, available = weights + WORKING_COPIES * 8 * BLOCK_ELEMENTS, available_memory()
    if available is None or needed <= available:
        return
    layers = program.shape.layers
    largest = max(sum(spec.nbytes for spec in program.weights_of(layer, layer + 1)) for layer in range(layers))
    raise NotEnoughMemoryError(
        f"{purpose} needs {needed / GIB:.2f} GiB of memory, {available / GIB:.2f} GiB are available",
        advice=f"Import it on a larger machine, then cut it with `nexus model shard`: in {layers} shards, one a "
        f"layer, the largest has {largest / GIB:.2f} GiB, which is what a node needs.",
    )


def _bytes(spec: TensorSpec, bytes_per_weight: int | None) -> int:
    return spec.nbytes if bytes_per_weight is None else math.prod(spec.shape) * bytes_per_weight


def available_memory() -> int | None:
    """Bytes that can be had without swapping; None where the system does not say."""
    try:
        lines = dict(line.split(":", 1) for line in MEMORY_FILE.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None
