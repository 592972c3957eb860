"""Runs a planned op list with the compiled kernels: one call per batch, whatever the model's depth."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from nexus_chain.engine.cache import Batch, SegmentState
from nexus_chain.engine.errors import ScratchMemoryError
from nexus_chain.engine.native_library import (
    LAYER_FIELDS,
    BatchPointers,
    LayerPointers,
    MatrixPointers,
    SequencePointers,
    StepPointers,
    load_library,
)
from nexus_chain.engine.native_plan import (
    CACHE,
    STEP_CODES,
    Buffer,
    PlannedStep,
    WeightName,
    plan_steps,
)
from nexus_chain.program import POSITIONS, SAMPLED, Op, TensorSpec
from nexus_chain.program.model import read_weight
from nexus_chain.program.op_kinds import KINDS
from nexus_chain.program.torch_dtypes import TORCH_DTYPES

BUFFER_ALIGNMENT = 64
HUGE_PAGE = 2 << 20
SINGLE_THREAD_BYTES = 16 << 20  # weights times rows below which waiting for a second thread costs more than it helps


class KernelWeights:
    """Weights as the kernels read them: in place, and the tables of experts' matrices."""

    def __init__(self, ops: Sequence[Op], weights: Mapping[str, Tensor]) -> None:
        self._tensors = {name: _readable(name, weights[name]) for op in ops for name in op.weights}
        self._tables: dict[tuple[str, ...], ctypes.Array[MatrixPointers]] = {}
        for op in ops:
            if op.kind == "expert_linear":
                self._tables[op.weights] = self._table(op.weights)

    def address(self, name: WeightName) -> int | None:
        """Where the tensor or the table of matrices lies, or None for an absent one."""
        if isinstance(name, tuple):
            return ctypes.addressof(self._tables[name])
        return None if name is None else self._tensors[name].data_ptr()

    def _table(self, names: tuple[str, ...]) -> ctypes.Array[MatrixPointers]:
        table = (MatrixPointers * (len(names) // 2))()
        for pointers, weight, scale in zip(table, names[::2], names[1::2], strict=True):
            pointers.weight, pointers.scale = self.address(weight), self.address(scale)
        return table


def _readable(name: str, tensor: Tensor) -> Tensor:
    """The tensor itself; a copy only if it is out of range, not dense or not aligned to its elements."""
    tensor = read_weight(name, tensor)
    aligned = tensor.data_ptr() % tensor.element_size() == 0
    return tensor if tensor.is_contiguous() and aligned else tensor.clone(memory_format=torch.contiguous_format)


class NativeExecutor:
    """``run`` maps the segment's input rows to the tensors named in ``keep``.

    Buffers live as long as the executor and grow to the largest batch seen, so one executor must
    not run in two threads at once.
    """

    def __init__(
        self, ops: Sequence[Op], source: TensorSpec, weights: KernelWeights, keep: Collection[str], threads: int
    ) -> None:
        self._plan = plan_steps(ops, source, keep)
        self._source, self._keep, self._threads = source.name, tuple(keep), threads
        self._weights = weights  # keeps the memory behind the steps' pointers alive
        self._library = load_library()
        self._matrix_bytes = sum(op.params["rows"] * op.params["columns"] for op in ops if KINDS[op.kind].matrix)
        self._memory: list[Tensor] = [torch.empty(0, dtype=torch.uint8) for _ in self._plan.buffers]
        self._capacity = [0, 0]
        self._steps = (StepPointers * len(self._plan.steps))()
        for step, planned in zip(self._steps, self._plan.steps, strict=True):
            self._fill_constants(step, planned)

    def run(self, rows: Tensor, batch: Batch) -> dict[str, Tensor]:
        """``rows`` i32[rows] or i32[rows, width]; appends to the caches of the batch's sequences."""
        self._reserve(batch)
        self._view(self._source, batch).copy_(rows)
        sequences = (SequencePointers * len(batch.sequences))()
        tables = [_layer_pointers(part.state) for part in batch.sequences]
        for pointers, part, table in zip(sequences, batch.sequences, tables, strict=True):
            pointers.row, pointers.count, pointers.position = part.first, part.count, part.state.length
            pointers.capacity, pointers.cache = part.state.rows_capacity, ctypes.addressof(table)
        described = BatchPointers(
            batch.rows, len(sequences), batch.sampled, self._threads_for(batch), ctypes.addressof(sequences),
            batch.positions.data_ptr(), batch.sampled_rows.data_ptr(), batch.sampling.data_ptr(),
        )  # fmt: skip
        failed = self._library.nexus_run(ctypes.addressof(self._steps), len(self._steps), ctypes.addressof(described))
        if failed:
            raise ScratchMemoryError("No memory left for this batch", advice="Free memory or serve fewer sequences.")
        return {name: self._view(name, batch).clone() for name in self._keep}

    def release(self) -> None:
        """Give back the buffers; the next batch allocates them anew."""
        self._memory = [torch.empty(0, dtype=torch.uint8) for _ in self._plan.buffers]
        self._capacity = [0, 0]

    def _threads_for(self, batch: Batch) -> int:
        return 1 if self._matrix_bytes * batch.rows < SINGLE_THREAD_BYTES else self._threads

    def _fill_constants(self, step: StepPointers, planned: PlannedStep) -> None:
        step.kind, step.sampled = STEP_CODES[planned.kind], int(planned.sampled)
        step.chained, step.barrier = int(planned.chained), int(planned.barrier)
        for number, value in enumerate(planned.params):
            step.params[number] = value
        for number, name in enumerate(planned.weights):
            step.weights[number] = self._weights.address(name)

    def _reserve(self, batch: Batch) -> None:
        """Grow the buffers to this batch and point the steps at them."""
        wanted = [batch.rows, batch.sampled]
        if all(have >= want for have, want in zip(self._capacity, wanted, strict=True)):
            return
        for index, want in enumerate(wanted):
            if want > self._capacity[index]:
                self._capacity[index] = want
                self._resize(sampled=bool(index), rows=want)
        for step, planned in zip(self._steps, self._plan.steps, strict=True):
            for number, name in enumerate(planned.inputs):
                step.inputs[number] = self._address(name)
            for number, name in enumerate(planned.outputs):
                step.outputs[number] = self._address(name)

    def _resize(self, *, sampled: bool, rows: int) -> None:
        for index, buffer in enumerate(self._plan.buffers):
            if buffer.sampled == sampled:
                self._memory[index] = _allocate(buffer, rows)

    def _address(self, name: str | None) -> int | None:
        if name is None or name.startswith(CACHE):
            return None
        return self._memory[self._plan.buffer_of[name]].data_ptr()

    def _view(self, name: str, batch: Batch) -> Tensor:
        """The tensor ``name`` of this batch inside its buffer."""
        spec = self._plan.specs[name]
        lengths = {POSITIONS: batch.rows, SAMPLED: batch.sampled}
        shape = [lengths.get(size, size) for size in spec.shape]
        index = self._plan.buffer_of[name]
        buffer = self._plan.buffers[index]
        used = buffer.row_bytes * (batch.sampled if buffer.sampled else batch.rows)
        return self._memory[index][:used].view(TORCH_DTYPES[spec.dtype]).view(shape)


def _allocate(buffer: Buffer, rows: int) -> Tensor:
    """Uninitialised bytes; large buffers in huge pages, since touching thousands of small ones first takes long."""
    size = -(-buffer.row_bytes * rows // BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT
    if size < HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(size, dtype=torch.uint8)
    memory = mmap.mmap(-1, -(-size // HUGE_PAGE) * HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)


def _layer_pointers(state: SegmentState) -> ctypes.Array[LayerPointers]:
    table = (LayerPointers * len(state.caches))()
    for pointers, cache in zip(table, state.caches, strict=True):
        for name, tensor in zip(LAYER_FIELDS, cache.tensors, strict=True):
            setattr(pointers, name, tensor.data_ptr())
    return table
