"""A trace that was computed once and lies in a folder: its roots, and the tensors that there was room for.

``index.json`` has the roots and where each kept tensor begins in ``tensors.bin``. It is written last, so a
folder with an index is whole. Every tensor is checked against its root when it is read: what a disk got wrong
is recomputed and never shown to a contract.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nexus_chain.commitments.merkle import MerkleTree
from nexus_chain.commitments.tensor import commit, tensor_bytes, tensor_root, tensor_tree
from nexus_chain.disputes.trace import Trace
from nexus_chain.disputes.trace_layout import TraceLayout, TraceTensor
from nexus_chain.json_text import parse_json
from nexus_chain.program.dtypes import DTYPE_BYTES
from nexus_chain.program.torch_dtypes import TORCH_DTYPES

FORMAT = "nexus.trace.v1"
_INDEX, _TENSORS = "index.json", "tensors.bin"


def bytes_of(spec: TraceTensor) -> int:
    """Bytes that a tensor takes."""
    return math.prod(spec.shape) * DTYPE_BYTES[spec.dtype]


def whole(layout: TraceLayout) -> frozenset[int]:
    """Numbers of all tensors but the input, which is kept elsewhere."""
    return frozenset(range(1, len(layout.tensors)))


def layer_ends(layout: TraceLayout) -> frozenset[int]:
    """Numbers of the rows that enter the segment's inner layers: with them a question costs one layer."""
    program = layout.program
    names = (program.output_of(layer - 1, layer) for layer in range(layout.start + 1, layout.end))
    return frozenset(layout.numbers[name] for name in names)


class KeptTrace(Trace):
    """The trace in ``folder``; what is not kept there comes from ``source``, a layer at a time."""

    def __init__(self, source: Trace, folder: Path, roots: list[bytes], starts: dict[int, int]) -> None:
        self.layout, self.sequence = source.layout, source.sequence
        self._source, self._folder, self._known, self._starts = source, folder, roots, starts
        self._last: tuple[int, Tensor, MerkleTree] | None = None
        source.start_from(self._rows_of_layer)

    @classmethod
    def compute(cls, source: Trace, folder: Path, kept: frozenset[int]) -> KeptTrace:
        """Run ``source`` once and keep the tensors numbered in ``kept``. Raises OSError where the disk refuses."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / _INDEX).unlink(missing_ok=True)
        roots, starts = list[bytes](), dict[int, int]()
        with open(os.open(folder / _TENSORS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for number, tensor in enumerate(source.stream()):
                roots.append(commit(tensor, source.sequence.salt))
                if number in kept:
                    starts[number] = file.tell()
                    file.write(tensor_bytes(tensor))
        draft = folder / f".{_INDEX}"
        draft.write_text(_written(roots, starts))
        draft.replace(folder / _INDEX)
        return cls(source, folder, roots, starts)

    @classmethod
    def open(cls, source: Trace, folder: Path) -> KeptTrace | None:
        """What ``compute`` left in ``folder``; None where there is nothing, or nothing whole, of this trace."""
        try:
            roots, starts = _read(parse_json((folder / _INDEX).read_bytes()))
        except (OSError, KeyError, TypeError, ValueError, AttributeError):
            return None
        if len(roots) != len(source.layout.tensors) or roots[0] != commit(source.sequence.rows, source.sequence.salt):
            return None
        return cls(source, folder, roots, starts)

    def roots(self) -> list[bytes]:
        return list(self._known)

    def root(self, number: int) -> bytes:
        return self._known[self.layout.tensor(number).number]

    def stream(self) -> Iterator[Tensor]:
        return (self.tensor(number) for number in range(len(self._known)))

    def tensor(self, number: int) -> Tensor:
        return self._found_or_kept(self.layout.tensor(number))[0]

    def tree(self, number: int) -> MerkleTree:
        return self._found_or_kept(self.layout.tensor(number))[1]

    def _found_or_kept(self, spec: TraceTensor) -> tuple[Tensor, MerkleTree]:
        if self._last is None or self._last[0] != spec.number:
            found = self._kept(spec)
            if found is None:
                tensor = self._source.tensor(spec.number)
                found = tensor, tensor_tree(tensor)
            self._last = spec.number, *found
        return self._last[1:]

    def _kept(self, spec: TraceTensor) -> tuple[Tensor, MerkleTree] | None:
        start = self._starts.get(spec.number)
        if start is None:
            return None
        try:
            with (self._folder / _TENSORS).open("rb") as file:
                file.seek(start)
                data = bytearray(file.read(bytes_of(spec)))
            tensor = torch.frombuffer(data, dtype=TORCH_DTYPES[spec.dtype]).reshape(spec.shape)
        except (OSError, ValueError, RuntimeError):
            return None
        tree = tensor_tree(tensor)
        # INVARIANT: only what the root vouches for is shown: a wrong bit from the disk would convict.
        right = tensor_root(spec.dtype, spec.shape, tree.root(), self.sequence.salt) == self._known[spec.number]
        return (tensor, tree) if right else None

    def _rows_of_layer(self, layer: int) -> Tensor | None:
        name = self.layout.program.output_of(layer - 1, layer)
        found = self._kept(self.layout.tensor(self.layout.numbers[name]))
        return found[0] if found else None


def _written(roots: list[bytes], starts: dict[int, int]) -> str:
    body = {"roots": [root.hex() for root in roots], "starts": {str(number): at for number, at in starts.items()}}
    return json.dumps({"format": FORMAT, "sha256": _checksum(body), **body})


def _read(data: Any) -> tuple[list[bytes], dict[int, int]]:
    body = {"roots": data["roots"], "starts": data["starts"]}
    if data["format"] != FORMAT or data["sha256"] != _checksum(body):
        raise ValueError("not an index")
    return [bytes.fromhex(root) for root in body["roots"]], {int(n): int(at) for n, at in body["starts"].items()}


def _checksum(body: Any) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
