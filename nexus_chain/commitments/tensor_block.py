"""TensorBlocks: the file of a shard, memory-mapped and used without a copy, and its Merkle index.

``write_tensor_block`` writes the weights of layers [start, end) as a safetensors file and what
``block_index`` describes beside it.

``load_tensor_block`` trusts nothing in these files: only the roots that the caller brings from the
chain. Every byte is verified once, before the first use of the tensor it belongs to: all at load, or
(``lazy``) each tensor when it is first asked for. There is no other way to get at a tensor. What a
machine has verified it may remember (``established``), until the file's identity changes.

Verification holds for the bytes as they were read; the file must not be written to while it is used.
``TensorBlock.check_unchanged`` tells whether somebody did.
"""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nexus_chain.commitments.block_index import BlockIndex, in_file_order, index_path, leaves_path
from nexus_chain.commitments.errors import TensorBlockError
from nexus_chain.commitments.established_facts import EstablishedFacts, Fact
from nexus_chain.commitments.mapped_file import FETCH_AGAIN, MappedFile
from nexus_chain.commitments.merkle import leaf_hashes
from nexus_chain.commitments.tensor import RowLayout, tensor_bytes, tensor_tree
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.json_text import parse_json
from nexus_chain.program import IntegerModel, Program, TensorSpec
from nexus_chain.program.torch_dtypes import TORCH_DTYPES

ALIGNMENT = 64  # of the data section: one cache line, one AVX-512 register
#: Two ranges of weights with two ends each, for two layers, and a huge page of 2 MiB at every end ...
_MOST_EDGES = 16 << 20
_EDGE_SHARE = 64  # ... unless the file is too small to have any
_SAFETENSORS_DTYPES = {"i8": "I8", "i16": "I16", "i32": "I32", "i64": "I64"}


@dataclass(frozen=True)
class TensorBlock:
    """A shard: the program and the weights of layers [layer_start, layer_end).

    ``weights`` are views of the mapped file, each verified before it is handed out (which raises
    TamperedTensorError). The mapping is private: writing to one changes no file.
    """

    path: Path
    program: Program
    layer_start: int
    layer_end: int
    weights: Mapping[str, Tensor]
    commitment: ModelCommitment
    nbytes: int
    _file: MappedFile
    _places: Mapping[str, tuple[int, int]]  # offset in the file and length, by name

    @property
    def margin(self) -> int:
        """Bytes by which pages in memory may exceed the weights that were fetched: edges, in huge pages."""
        return page_margin(self.nbytes)

    def prefetch(self, names: Collection[str]) -> None:
        """Bring weights into memory before they are needed; returns when they are there. Verifies nothing."""
        for offset, length in self._ranges(names):
            self._file.prefetch(offset, length)

    def release(self, names: Collection[str]) -> None:
        """Give back the memory behind weights; whoever reads them again waits for the disk."""
        for offset, length in self._ranges(names):
            self._file.release(offset, length)

    def check_unchanged(self) -> None:
        """Raise TensorBlockError when the file was written to since it was loaded."""
        if not self._file.is_unchanged:
            raise TensorBlockError(
                f"{self.path} was written to while it was in use: what was verified is no longer there",
                advice="Put a shard in place by renaming a finished copy over it, and restart the node",
            )

    def _ranges(self, names: Collection[str]) -> list[tuple[int, int]]:
        """(offset, length) of the named weights, neighbours joined."""
        joined: list[tuple[int, int]] = []
        for offset, length in sorted(self._places[name] for name in names):
            if joined and sum(joined[-1]) == offset:
                offset, length = joined[-1][0], joined.pop()[1] + length
            joined.append((offset, length))
        return joined


def page_margin(nbytes: int) -> int:
    """:attr:`TensorBlock.margin` of a block with ``nbytes`` of weights."""
    return min(_MOST_EDGES, nbytes // _EDGE_SHARE)


def write_tensor_block(
    model: IntegerModel, path: Path, layer_start: int, layer_end: int, commitment: ModelCommitment | None = None
) -> None:
    """Write the shard of layers [layer_start, layer_end) to ``path``, its leaves and its index beside it.

    Each file appears complete or not at all, the index last. ``commitment`` is the model's, where it is known.
    """
    specs = in_file_order(model.program.weights_of(layer_start, layer_end))
    commitment = ModelCommitment.of(model) if commitment is None else commitment
    index = BlockIndex(model.program, (layer_start, layer_end), commitment)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, [_header(specs), *(tensor_bytes(model.weights[spec.name]) for spec in specs)])
    _write_whole(leaves_path(path), (_packed_leaves(model.weights[spec.name]) for spec in specs))
    _write_whole(index_path(path), [index.to_json().encode()])


def load_tensor_block(
    path: Path,
    weights_root: bytes,
    program_root: bytes | None = None,
    *,
    lazy: bool = False,
    facts: EstablishedFacts | None = None,
) -> TensorBlock:
    """Map the block at ``path`` and verify it against the roots from the chain.

    With ``lazy`` each tensor is verified when it is first asked for, else all are at once. With ``facts``
    a file that was verified before and has not changed since is not read again.

    Raises TamperedTensorError (tensor and rows) where bytes differ from the committed ones and
    TensorBlockError where a file is missing, truncated, malformed or of another model version.
    """
    index = BlockIndex.read(index_path(path))
    index.check_roots(weights_root, program_root)
    file = MappedFile(path)
    places = _locate(file, index.specs)
    memory = None if facts is None else _Memory(facts, file, index, weights_root)
    weights = _CheckedWeights(file, index, places, memory)
    if not lazy:
        weights.check_all()
    ranges = {spec.name: (offset, spec.nbytes) for spec, offset in places}
    nbytes = sum(spec.nbytes for spec in index.specs)
    return TensorBlock(path, index.program, *index.layers, weights, index.commitment, nbytes, file, ranges)


class _Memory:
    """Whether this very file was verified against these roots before."""

    def __init__(self, facts: EstablishedFacts, file: MappedFile, index: BlockIndex, weights_root: bytes) -> None:
        self._facts, self._file = facts, file
        self._subject = f"block {file.path.resolve()}"
        # The layers and the program decide which bytes of the file are which tensor of the weights root.
        self._fact: Fact = {
            "file": asdict(file.identity),
            "layers": list(index.layers),
            "program_root": index.program_root.hex(),
            "weights_root": weights_root.hex(),
        }
        # INVARIANT: a write after this moment changes the identity, so verified bytes are what it stands for.
        self._settled = file.identity.is_settled

    def knows(self) -> bool:
        return self._facts.known(self._subject, self._fact)

    def keep(self) -> None:
        if self._settled and self._file.is_unchanged:
            self._facts.establish(self._subject, self._fact)


class _CheckedWeights(Mapping[str, Tensor]):
    """Weights by name; the only way to one leads through its verification. Safe for several threads."""

    def __init__(
        self, file: MappedFile, index: BlockIndex, places: list[tuple[TensorSpec, int]], memory: _Memory | None
    ) -> None:
        self._file, self._index, self._memory = file, index, memory
        self._places = {spec.name: (spec, offset) for spec, offset in places}
        self._unchecked = set() if memory is not None and memory.knows() else set(self._places)
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Tensor:
        spec, offset = self._places[name]
        if name in self._unchecked:
            with self._lock:
                self._check(name)
        return self._file.tensor(TORCH_DTYPES[spec.dtype], spec.shape, offset)

    def __contains__(self, name: object) -> bool:
        return name in self._places  # the inherited one would verify to find out

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def check_all(self) -> None:
        with self._lock:
            for name in self._places:
                self._check(name)

    def _check(self, name: str) -> None:
        if name not in self._unchecked:
            return
        spec, offset = self._places[name]
        size = RowLayout.of(spec.dtype, spec.shape).leaf_bytes
        found: list[bytes] = []
        for piece in self._file.pieces(offset, spec.nbytes, size):
            found += leaf_hashes(piece, size)
        self._index.check_tensor(spec, found, self._file.path)
        self._unchecked.discard(name)
        if not self._unchecked and self._memory is not None:
            self._memory.keep()


def _packed_leaves(tensor: Tensor) -> bytes:
    tree = tensor_tree(tensor)
    return b"".join(tree.leaf(i) for i in range(len(tree)))


def _header(specs: list[TensorSpec]) -> bytes:
    """safetensors header, padded with spaces so that the data starts on a cache line."""
    entries, offset = {}, 0
    for spec in specs:
        end = offset + spec.nbytes
        dtype = _SAFETENSORS_DTYPES[spec.dtype]
        entries[spec.name] = {"dtype": dtype, "shape": list(spec.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


def _write_whole(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write all parts to ``path`` so that a crash leaves the old file or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _locate(file: MappedFile, specs: tuple[TensorSpec, ...]) -> list[tuple[TensorSpec, int]]:
    """(spec, file offset) of every tensor the shard needs; all of them complete."""
    header, data_start = _read_header(file)
    places = []
    for spec in specs:
        begin = _checked_entry(file.path, spec, header.get(spec.name))
        missing = data_start + begin + spec.nbytes - len(file)
        if missing > 0:
            layout = RowLayout.of(spec.dtype, spec.shape)
            first = max(0, layout.rows - -(-missing // layout.row_bytes))
            raise TensorBlockError(
                f"{file.path} is truncated: tensor {spec.name!r} lacks rows {first} to {layout.rows - 1}",
                advice=FETCH_AGAIN,
            )
        places.append((spec, data_start + begin))
    return places


def _read_header(file: MappedFile) -> tuple[dict[str, Any], int]:
    try:
        (length,) = struct.unpack("<Q", file.read(0, 8))
        if length > len(file) - 8:
            raise ValueError(f"header of {length} bytes in a file of {len(file)}")
        header = parse_json(file.read(8, length))
        if not isinstance(header, dict):
            raise ValueError("header is no object")
    except (ValueError, struct.error) as error:
        raise TensorBlockError(f"{file.path} is not a safetensors file ({error})", advice=FETCH_AGAIN) from error
    return header, 8 + length


def _checked_entry(path: Path, spec: TensorSpec, entry: object) -> int:
    """Offset of a tensor inside the data section; its header entry is what the program declares."""
    if not isinstance(entry, dict):
        raise TensorBlockError(f"{path} lacks tensor {spec.name!r}", advice=FETCH_AGAIN)
    declared = (_SAFETENSORS_DTYPES[spec.dtype], list(spec.shape))
    match entry.get("data_offsets"):
        case [int(begin), int(end)] if begin >= 0 and end - begin == spec.nbytes:
            fits = (entry.get("dtype"), entry.get("shape")) == declared
        case _:
            begin, fits = 0, False
    if not fits:
        raise TensorBlockError(
            f"{path}: tensor {spec.name!r} should be {spec.dtype} {list(spec.shape)}, the file says {entry}",
            advice=FETCH_AGAIN,
        )
    return begin
