"""TensorBlocks: the file of a shard, memory-mapped and used without a copy, and its Merkle index.

``write_tensor_block`` writes the weights of layers [start, end) as a safetensors file and
``<file>.index.json`` beside it: the program, the root of every tensor of the *whole* model (which
together give the weights root, so no per-tensor proofs are needed) and the leaf hashes of the
shard's tensors (so that damage is located to the row).

``load_tensor_block`` trusts nothing in either file: only the roots that the caller brings from
the chain. It verifies every byte once and hands out tensors over the mapped file.
"""

from __future__ import annotations

import base64
import binascii
import json
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nexus_chain.commitments.errors import TamperedTensorError, TensorBlockError
from nexus_chain.commitments.merkle import DIGEST_BYTES, MerkleTree, leaf_hashes
from nexus_chain.commitments.tensor import TORCH_DTYPES, RowLayout, tensor_bytes, tensor_root, tensor_tree
from nexus_chain.commitments.weights import ModelCommitment, program_root, weights_root
from nexus_chain.errors import NexusError
from nexus_chain.json_text import parse_json
from nexus_chain.program import IntegerModel, Program, TensorSpec

FORMAT = "nexus.tensor-block.v1"
ALIGNMENT = 64  # of the data section: one cache line, one AVX-512 register
_SAFETENSORS_DTYPES = {"i8": "I8", "i16": "I16", "i32": "I32", "i64": "I64"}
_FETCH_AGAIN = "Fetch or write the shard again, then restart the node"


@dataclass(frozen=True)
class TensorBlock:
    """A verified shard: the program and the weights of layers [layer_start, layer_end).

    ``weights`` are views of the mapped file. The mapping is private: writing to one changes no file.
    """

    path: Path
    program: Program
    layer_start: int
    layer_end: int
    weights: Mapping[str, Tensor]
    commitment: ModelCommitment

    @property
    def nbytes(self) -> int:
        """Bytes of all weights of the shard."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.weights.values())


def index_path(path: Path) -> Path:
    """Where the Merkle index of the block at ``path`` lies."""
    return path.with_name(path.name + ".index.json")


def write_tensor_block(
    model: IntegerModel, path: Path, layer_start: int, layer_end: int, commitment: ModelCommitment | None = None
) -> None:
    """Write the shard of layers [layer_start, layer_end) to ``path`` and its index beside it.

    Both files appear complete or not at all. ``commitment`` is the model's, where it is known.
    """
    specs = sorted(model.program.weights_of(layer_start, layer_end), key=lambda s: (-_item_bytes(s), s.name))
    commitment = ModelCommitment.of(model) if commitment is None else commitment
    index = {
        "format": FORMAT,
        "layers": [layer_start, layer_end],
        "leaves": {spec.name: _packed_leaves(model.weights[spec.name]) for spec in specs},
        "program": json.loads(model.program.to_json()),
        "program_root": commitment.program_root.hex(),
        "tensors": [[name, root.hex()] for name, root in commitment.tensor_roots],
        "weights_root": commitment.weights_root.hex(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, [_header(specs), *(tensor_bytes(model.weights[spec.name]) for spec in specs)])
    _write_whole(index_path(path), [json.dumps(index, sort_keys=True, separators=(",", ":")).encode()])


def load_tensor_block(path: Path, weights_root: bytes, program_root: bytes | None = None) -> TensorBlock:
    """Map the block at ``path`` and verify all of it against the roots from the chain.

    Raises TamperedTensorError (tensor and rows) where bytes differ from the committed ones and
    TensorBlockError where a file is missing, truncated, malformed or of another model version.
    """
    index = _Index.read(index_path(path))
    index.check_roots(weights_root, program_root)
    mapped = _map(path)
    weights = {}
    for spec, offset in _locate(path, mapped, index.specs):
        count = spec.nbytes // _item_bytes(spec)
        flat = torch.frombuffer(mapped, dtype=TORCH_DTYPES[spec.dtype], offset=offset, count=count)
        weights[spec.name] = flat.reshape(spec.shape)
        index.check_tensor(spec, weights[spec.name])
    return TensorBlock(path, index.program, *index.layers, weights, index.commitment)


@dataclass(frozen=True)
class _Index:
    """A parsed, not yet trusted index file."""

    program: Program
    layers: tuple[int, int]
    commitment: ModelCommitment
    leaves: Mapping[str, list[bytes]]

    @classmethod
    def read(cls, path: Path) -> _Index:
        try:
            data = parse_json(path.read_bytes())
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']!r}")
            roots = tuple((str(name), bytes.fromhex(root)) for name, root in data["tensors"])
            start, end = (int(layer) for layer in data["layers"])
            index = cls(
                Program.from_json(json.dumps(data["program"])),
                (start, end),
                ModelCommitment(bytes.fromhex(data["program_root"]), bytes.fromhex(data["weights_root"]), roots),
                {name: _unpacked_leaves(packed) for name, packed in data["leaves"].items()},
            )
            index.program.weights_of(start, end)
        except FileNotFoundError as error:
            raise TensorBlockError(f"{path} is missing", advice=_FETCH_AGAIN) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error, NexusError) as error:
            raise TensorBlockError(f"{path} is not a block index ({error})", advice=_FETCH_AGAIN) from error
        return index

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        return self.program.weights_of(*self.layers)

    def check_roots(self, expected_weights: bytes, expected_program: bytes | None) -> None:
        """The index's program and tensor roots are those of the expected model version."""
        found = weights_root(self.commitment.tensor_roots)
        if found != expected_weights:
            raise TensorBlockError(
                f"the shard belongs to weights root {found.hex()}, not {expected_weights.hex()}",
                advice="Serve the model version this shard was written for, or fetch the shard of this version",
            )
        program = program_root(self.program)
        if program != (expected_program or self.commitment.program_root):
            raise TensorBlockError(
                f"the shard's program has root {program.hex()}, not the model version's", advice=_FETCH_AGAIN
            )
        if [name for name, _ in self.commitment.tensor_roots] != [spec.name for spec in self.program.weights]:
            raise TensorBlockError("the index lists other tensors than its program", advice=_FETCH_AGAIN)

    def check_tensor(self, spec: TensorSpec, tensor: Tensor) -> None:
        """The tensor's bytes are the committed ones; otherwise say which rows are not."""
        committed = dict(self.commitment.tensor_roots)[spec.name]
        layout = RowLayout.of(spec.dtype, spec.shape)
        found = leaf_hashes(tensor_bytes(tensor), layout.leaf_bytes)
        if tensor_root(spec.dtype, spec.shape, MerkleTree(found).root()) == committed:
            return
        listed = self.leaves.get(spec.name, [])
        if tensor_root(spec.dtype, spec.shape, MerkleTree(listed).root()) != committed or len(listed) != len(found):
            raise TamperedTensorError(spec.name, ((0, layout.rows),), advice=_FETCH_AGAIN)
        differing = [i for i, (a, b) in enumerate(zip(found, listed, strict=True)) if a != b]
        raise TamperedTensorError(spec.name, _row_ranges(differing, layout), advice=_FETCH_AGAIN)


def _row_ranges(leaves: list[int], layout: RowLayout) -> tuple[tuple[int, int], ...]:
    """Row ranges of the given leaves, neighbours joined."""
    ranges: list[tuple[int, int]] = []
    for leaf in leaves:
        start, stop = layout.rows_of_leaf(leaf)
        if ranges and ranges[-1][1] >= start:  # the next rows, or another leaf of the same one
            start = ranges.pop()[0]
        ranges.append((start, stop))
    return tuple(ranges)


def _item_bytes(spec: TensorSpec) -> int:
    return TORCH_DTYPES[spec.dtype].itemsize


def _packed_leaves(tensor: Tensor) -> str:
    tree = tensor_tree(tensor)
    return base64.b64encode(b"".join(tree.leaf(i) for i in range(len(tree)))).decode()


def _unpacked_leaves(packed: str) -> list[bytes]:
    data = base64.b64decode(packed, validate=True)
    return [data[i : i + DIGEST_BYTES] for i in range(0, len(data), DIGEST_BYTES)]


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


def _write_whole(path: Path, parts: list[bytes | memoryview]) -> None:
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


def _map(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            # Private and writable: torch warns about read-only buffers, and no page is copied unless written.
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError as error:
        raise TensorBlockError(f"{path} is missing", advice=_FETCH_AGAIN) from error
    except (OSError, ValueError) as error:
        raise TensorBlockError(f"{path} cannot be mapped ({error})", advice=_FETCH_AGAIN) from error


def _locate(path: Path, mapped: mmap.mmap, specs: tuple[TensorSpec, ...]) -> list[tuple[TensorSpec, int]]:
    """(spec, file offset) of every tensor the shard needs; all of them complete."""
    header, data_start = _read_header(path, mapped)
    places = []
    for spec in specs:
        begin = _checked_entry(path, spec, header.get(spec.name))
        missing = data_start + begin + spec.nbytes - len(mapped)
        if missing > 0:
            layout = RowLayout.of(spec.dtype, spec.shape)
            first = max(0, layout.rows - -(-missing // layout.row_bytes))
            raise TensorBlockError(
                f"{path} is truncated: tensor {spec.name!r} lacks rows {first} to {layout.rows - 1}",
                advice=_FETCH_AGAIN,
            )
        places.append((spec, data_start + begin))
    return places


def _read_header(path: Path, mapped: mmap.mmap) -> tuple[dict[str, Any], int]:
    try:
        (length,) = struct.unpack_from("<Q", mapped)
        if length > len(mapped) - 8:
            raise ValueError(f"header of {length} bytes in a file of {len(mapped)}")
        header = parse_json(mapped[8 : 8 + length])
        if not isinstance(header, dict):
            raise ValueError("header is no object")
    except (ValueError, struct.error) as error:
        raise TensorBlockError(f"{path} is not a safetensors file ({error})", advice=_FETCH_AGAIN) from error
    return header, 8 + length


def _checked_entry(path: Path, spec: TensorSpec, entry: object) -> int:
    """Offset of a tensor inside the data section; its header entry is what the program declares."""
    if not isinstance(entry, dict):
        raise TensorBlockError(f"{path} lacks tensor {spec.name!r}", advice=_FETCH_AGAIN)
    declared = (_SAFETENSORS_DTYPES[spec.dtype], list(spec.shape))
    match entry.get("data_offsets"):
        case [int(begin), int(end)] if begin >= 0 and end - begin == spec.nbytes:
            fits = (entry.get("dtype"), entry.get("shape")) == declared
        case _:
            begin, fits = 0, False
    if not fits:
        raise TensorBlockError(
            f"{path}: tensor {spec.name!r} should be {spec.dtype} {list(spec.shape)}, the file says {entry}",
            advice=_FETCH_AGAIN,
        )
    return begin
