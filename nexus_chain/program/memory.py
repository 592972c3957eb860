"""Whether this machine has the memory that an import needs, asked before anything large is read."""

from __future__ import annotations

from pathlib import Path

from nexus_chain.program.checkpoint import BLOCK_ELEMENTS
from nexus_chain.program.descriptors import Program
from nexus_chain.program.errors import NotEnoughMemoryError

MEMORY_FILE = Path("/proc/meminfo")
WORKING_COPIES = 6  # of a block of rows in float64, while it is folded and rounded
GIB = 1 << 30


def require_memory(program: Program) -> None:
    """Raise :class:`NotEnoughMemoryError` unless the program's weights and one block of rows fit."""
    weights = sum(spec.nbytes for spec in program.weights)
    needed, available = weights + WORKING_COPIES * 8 * BLOCK_ELEMENTS, available_memory()
    if available is None or needed <= available:
        return
    layers = program.shape.layers
    largest = max(sum(spec.nbytes for spec in program.weights_of(layer, layer + 1)) for layer in range(layers))
    raise NotEnoughMemoryError(
        f"Importing this model needs {needed / GIB:.2f} GiB of memory, {available / GIB:.2f} GiB are available",
        advice=f"Import it on a larger machine, then cut it with `nexus model shard`: in {layers} shards, one a "
        f"layer, the largest has {largest / GIB:.2f} GiB, which is what a node needs.",
    )


def available_memory() -> int | None:
    """Bytes that can be had without swapping; None where the system does not say."""
    try:
        lines = dict(line.split(":", 1) for line in MEMORY_FILE.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None
