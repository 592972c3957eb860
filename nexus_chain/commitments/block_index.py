"""What lies beside a TensorBlock: the program, the roots of all tensors, and the shard's leaf hashes.

``<file>.index.json`` holds the roots of every tensor of the *whole* model. Together they give the weights root, so
that no tensor needs a proof of its own. ``<file>.leaves`` holds 32 bytes for every leaf of the shard's tensors, in
the order of the file. It is opened only when a tensor turns out to be damaged, to say in which rows. Neither file is
trusted: roots come from the chain.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from nexus_chain.commitments.errors import TamperedTensorError, TensorBlockError
from nexus_chain.commitments.mapped_file import FETCH_AGAIN
from nexus_chain.commitments.merkle import DIGEST_BYTES, MerkleTree
from nexus_chain.commitments.tensor import RowLayout, tensor_root
from nexus_chain.commitments.weights import ModelCommitment, program_root, weights_root
from nexus_chain.errors import NexusError
from nexus_chain.json_text import parse_json
from nexus_chain.program import Program, TensorSpec
from nexus_chain.program.dtypes import DTYPE_BYTES
from nexus_chain.program.reproduction import reproduce

FORMAT = "nexus.tensor-block.v2"


def index_path(block: Path) -> Path:
    """Where the Merkle index of the block at ``block`` lies."""
    return block.with_name(block.name + ".index.json")


def leaves_path(block: Path) -> Path:
    """Where the leaf hashes of the block at ``block`` lie."""
    return block.with_name(block.name + ".leaves")


def in_file_order(specs: Iterable[TensorSpec]) -> list[TensorSpec]:
    """Widest elements first, so that all stay aligned; then by name, which keeps a layer together."""
    return sorted(specs, key=lambda spec: (-DTYPE_BYTES[spec.dtype], spec.name))


@dataclass(frozen=True)
class BlockIndex:
    """A parsed, not yet trusted index file."""

    program: Program
    layers: tuple[int, int]
    commitment: ModelCommitment

    @classmethod
    def read(cls, path: Path) -> BlockIndex:
        """Raises TensorBlockError when the file is missing or is not an index of this format.

        Raises UnreproducibleProgramError for a program that nobody may serve.
        """
        try:
            data = parse_json(path.read_bytes())
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']!r}, not {FORMAT!r}")
            roots = tuple((str(name), bytes.fromhex(root)) for name, root in data["tensors"])
            start, end = (int(layer) for layer in data["layers"])
            index = cls(
                Program.from_json(str(data["program"])),
                (start, end),
                ModelCommitment(bytes.fromhex(data["program_root"]), bytes.fromhex(data["weights_root"]), roots),
            )
            index.program.weights_of(start, end)
        except FileNotFoundError as error:
            raise TensorBlockError(f"{path} is missing", advice=FETCH_AGAIN) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, NexusError) as error:
            raise TensorBlockError(f"{path} is not a block index ({error})", advice=FETCH_AGAIN) from error
        return replace(index, program=reproduce(index.program))

    def to_json(self) -> str:
        """What :meth:`read` takes. The program is text inside the text: it is parsed once, by its own parser."""
        content = {
            "format": FORMAT,
            "layers": list(self.layers),
            "program": self.program.to_json(),
            "program_root": self.commitment.program_root.hex(),
            "tensors": [[name, root.hex()] for name, root in self.commitment.tensor_roots],
            "weights_root": self.commitment.weights_root.hex(),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @cached_property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Weights of the shard, in the program's order."""
        return self.program.weights_of(*self.layers)

    @cached_property
    def roots(self) -> dict[str, bytes]:
        """Tensor root by name."""
        return dict(self.commitment.tensor_roots)

    @cached_property
    def program_root(self) -> bytes:
        """Root of the program that the index holds, computed."""
        return program_root(self.program)

    @property
    def claimed_root(self) -> bytes:
        """The weights root that the listed tensor roots give."""
        return weights_root(self.commitment.tensor_roots)

    def check_roots(self, expected_weights: bytes, expected_program: bytes | None) -> None:
        """The index's program and tensor roots are those of the expected model version."""
        found = self.claimed_root
        if found != expected_weights:
            raise TensorBlockError(
                f"the shard belongs to weights root {found.hex()}, not {expected_weights.hex()}",
                advice="Serve the model version this shard was written for, or fetch the shard of this version",
            )
        if self.program_root != (expected_program or self.commitment.program_root):
            raise TensorBlockError(
                f"the shard's program has root {self.program_root.hex()}, not the model version's", advice=FETCH_AGAIN
            )
        if [name for name, _ in self.commitment.tensor_roots] != [spec.name for spec in self.program.weights]:
            raise TensorBlockError("the index lists other tensors than its program", advice=FETCH_AGAIN)

    def check_tensor(self, spec: TensorSpec, found: Sequence[bytes], block: Path) -> None:
        """The leaf hashes ``found`` are the committed ones; otherwise say with the block's leaves which rows are not.

        Raises TamperedTensorError.
        """
        if self._has_leaves(spec, found):
            return
        layout = RowLayout.of(spec.dtype, spec.shape)
        listed = self._listed_leaves(spec, block)
        if len(listed) != len(found) or not self._has_leaves(spec, listed):  # they are damaged themselves
            raise TamperedTensorError(spec.name, ((0, layout.rows),), advice=FETCH_AGAIN)
        differing = [i for i, (a, b) in enumerate(zip(found, listed, strict=True)) if a != b]
        raise TamperedTensorError(spec.name, _row_ranges(differing, layout), advice=FETCH_AGAIN)

    def _has_leaves(self, spec: TensorSpec, leaves: Sequence[bytes]) -> bool:
        return tensor_root(spec.dtype, spec.shape, MerkleTree(leaves).root()) == self.roots[spec.name]

    def _listed_leaves(self, spec: TensorSpec, block: Path) -> list[bytes]:
        """The leaf hashes that lie beside the block; none where they cannot be read."""
        before, count = self._leaf_place(spec.name)
        try:
            with leaves_path(block).open("rb") as file:
                file.seek(before * DIGEST_BYTES)
                data = file.read(count * DIGEST_BYTES)
        except OSError:
            return []
        return list(_digests(data))

    def _leaf_place(self, name: str) -> tuple[int, int]:
        """Number of leaves before those of a tensor, and of its own."""
        before = 0
        for spec in in_file_order(self.specs):
            count = RowLayout.of(spec.dtype, spec.shape).leaves
            if spec.name == name:
                return before, count
            before += count
        raise KeyError(name)


def _digests(data: bytes) -> Iterator[bytes]:
    return (data[i : i + DIGEST_BYTES] for i in range(0, len(data), DIGEST_BYTES))


def _row_ranges(leaves: list[int], layout: RowLayout) -> tuple[tuple[int, int], ...]:
    """Row ranges of the given leaves, neighbours joined."""
    ranges: list[tuple[int, int]] = []
    for leaf in leaves:
        start, stop = layout.rows_of_leaf(leaf)
        if ranges and ranges[-1][1] >= start:  # the next rows, or another leaf of the same one
            start = ranges.pop()[0]
        ranges.append((start, stop))
    return tuple(ranges)
