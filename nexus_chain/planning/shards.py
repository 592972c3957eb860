"""Cutting a model into shards: contiguous layer ranges whose largest is as small as possible."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from nexus_chain.commitments.weights import descriptor_tree
from nexus_chain.planning.errors import ShardCountError
from nexus_chain.program.descriptors import Program

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class ModelShard:
    """Layers [layer_start, layer_end) of a model.

    ``hash`` is the Merkle root of the shard's op descriptors, 0x hex: what it computes. Its weights are checked
    tensor by tensor against the version's ``weightsRoot`` when a TensorBlock is loaded.
    """

    shard_id: int
    model_name: str
    layer_start: int
    layer_end: int
    size_bytes: int  # weights, tables included
    hash: str

    @property
    def size_mb(self) -> float:
        """Size of the weights in MiB."""
        return self.size_bytes / _MEBIBYTE


def shard_model(program: Program, num_shards: int) -> list[ModelShard]:
    """Cut a program into ``num_shards`` contiguous shards so that the largest has as few bytes as possible.

    An encoder's last layer, which only samples, is a shard of its own: its embedding has to cross a boundary.
    Raises ShardCountError unless 1 <= num_shards <= layers, or 2 <= num_shards for an encoder.
    """
    layers, tail = program.shape.layers, [] if program.embedding_layer is None else [program.shape.layers]
    if tail and num_shards == 1:
        raise ShardCountError("an encoder is cut before its last layer", advice=f"Choose 2 to {layers} shards.")
    if not 1 <= num_shards <= layers:
        raise ShardCountError(
            f"a model of {layers} layers cannot be cut into {num_shards} shards", advice=f"Choose 1 to {layers}."
        )
    sizes = _range_bytes(program)
    cuts = [*_balanced_cuts(sizes, layers - len(tail), num_shards - len(tail)), *tail]
    descriptors = program.descriptors()
    return [
        ModelShard(
            shard_id=index,
            model_name=program.name,
            layer_start=start,
            layer_end=end,
            size_bytes=sizes[start, end],
            hash="0x" + _descriptor_root(program, descriptors, start, end).hex(),
        )
        for index, (start, end) in enumerate(pairwise(cuts))
    ]


def _range_bytes(program: Program) -> dict[tuple[int, int], int]:
    """Weight bytes of every contiguous layer range; a table that several layers share counts once."""
    layers = program.shape.layers
    used: list[set[str]] = [set() for _ in range(layers)]
    for op in program.ops:
        used[op.layer].update(op.weights)
    nbytes = {spec.name: spec.nbytes for spec in program.weights}
    sizes: dict[tuple[int, int], int] = {}
    for start in range(layers):
        names: set[str] = set()
        total = 0
        for end in range(start + 1, layers + 1):
            new = used[end - 1] - names
            names |= new
            total += sum(nbytes[name] for name in new)
            sizes[start, end] = total
    return sizes


def _balanced_cuts(sizes: dict[tuple[int, int], int], layers: int, shards: int) -> list[int]:
    """Cut points 0 = c0 < c1 < ... = layers with the least largest range; ties go to earlier cuts."""
    best: dict[int, tuple[int, list[int]]] = {end: (sizes[0, end], [0, end]) for end in range(1, layers + 1)}
    for count in range(2, shards + 1):
        best = {
            end: min(
                (max(best[cut][0], sizes[cut, end]), [*best[cut][1], end])
                for cut in range(count - 1, end)
                if cut in best
            )
            for end in range(count, layers + 1)
        }
    return best[layers][1]


def _descriptor_root(program: Program, descriptors: list[bytes], start: int, end: int) -> bytes:
    inside = (data for op, data in zip(program.ops, descriptors, strict=True) if start <= op.layer < end)
    return descriptor_tree(inside).root()
