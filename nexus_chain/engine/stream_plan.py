"""Which weights of a shard stay in memory and which come from disk, layer by layer, under a limit.

Pure arithmetic over the op list. Three kinds of weights:

- *Resident* weights are read once and stay. They are the weights that several layers share, the weights that the caller
  names, such as the experts that most tokens use, and whole layers as long as the limit has room.
- *Streamed* weights are fetched before their layer runs and given back after it. Where the limit allows two layers at
  once, the disk works while the processor does.
- *Gathered* weights are looked up by row, as embedding tables are, or used by few tokens, as experts are that are not
  resident. Nobody knows beforehand what will be read of them. So they are read as needed, given back after their layer,
  and do not count against the limit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nexus_chain.engine.errors import MemoryLimitError, UnknownWeightError
from nexus_chain.program import Program, TensorSpec
from nexus_chain.program.op_kinds import KINDS


@dataclass(frozen=True)
class StreamPlan:
    """Names of weights by what happens to them; ``streamed`` and ``gathered`` hold one entry per layer.

    ``resident_bytes`` includes the margin; ``window_bytes`` is the most that streamed layers
    take at once, ``depth`` of them (1: without prefetch); ``pass_bytes`` is read from disk per batch.
    """

    resident: frozenset[str]
    streamed: tuple[tuple[str, ...], ...]
    gathered: tuple[tuple[str, ...], ...]
    resident_bytes: int
    window_bytes: int
    depth: int
    pass_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Most bytes of weights in memory at once, gathered ones aside."""
        return self.resident_bytes + self.window_bytes


def plan_streaming(
    program: Program,
    layer_start: int,
    layer_end: int,
    limit: int,
    resident: Collection[str] = (),
    margin: int = 0,
) -> StreamPlan:
    """Plan for layers [layer_start, layer_end) in ``limit`` bytes; ``resident`` weights stay in any case.

    ``margin``: bytes of the limit to leave free, for memory comes in pages and not in tensors.

    Raises MemoryLimitError, which says the least that works, and UnknownWeightError for a name in
    ``resident`` that these layers do not read.
    """
    specs = {spec.name: spec for spec in program.weights_of(layer_start, layer_end)}
    if unknown := sorted(set(resident) - set(specs)):
        raise UnknownWeightError(
            f"layers [{layer_start}, {layer_end}) read no weight {unknown[0]!r}",
            advice="Name weights as `nexus model inspect` lists them.",
        )
    used = _used_by_layer(program, layer_start, layer_end)
    kept = set(resident) | _shared(used)
    loads = _Loads(specs, used, kept, margin)
    if loads.resident_bytes + max(loads.layers) > limit:
        least = loads.resident_bytes + max(loads.layers)
        raise MemoryLimitError(
            f"a limit of {limit} bytes is too small for layers [{layer_start}, {layer_end}): one of them at a time "
            f"and what has to stay take {least} bytes",
            least,
            advice=f"Allow at least {least} bytes, {loads.resident_bytes + loads.window(2)} to read ahead, "
            "or keep fewer experts resident.",
        )
    depth = 2 if loads.resident_bytes + loads.window(2) <= limit else 1
    loads.keep_more(limit, depth)
    return StreamPlan(
        frozenset(loads.kept),
        loads.streamed,
        loads.gathered,
        loads.resident_bytes,
        loads.window(depth),
        depth,
        sum(loads.layers),
    )


def least_limit(program: Program, layer_start: int, layer_end: int, margin: int = 0) -> int:
    """The smallest limit in bytes that :func:`plan_streaming` takes."""
    try:
        return plan_streaming(program, layer_start, layer_end, 0, margin=margin).peak_bytes
    except MemoryLimitError as error:
        return error.least


def _used_by_layer(program: Program, start: int, end: int) -> list[dict[str, bool]]:
    """By layer: every weight it reads, and whether all that read it gather."""
    used: list[dict[str, bool]] = [{} for _ in range(start, end)]
    for op in program.segment(start, end):
        layer = used[op.layer - start]
        for name in op.weights:
            layer[name] = layer.get(name, True) and KINDS[op.kind].gathered
    return used


def _shared(used: Sequence[Collection[str]]) -> set[str]:
    """Weights that more than one layer reads."""
    seen: set[str] = set()
    shared: set[str] = set()
    for layer in used:
        shared |= seen & set(layer)
        seen |= set(layer)
    return shared


class _Loads:
    """Bytes that each layer streams, while weights move to those that stay."""

    def __init__(
        self, specs: Mapping[str, TensorSpec], used: Sequence[Mapping[str, bool]], kept: set[str], margin: int
    ) -> None:
        self._specs, self._used, self._margin = specs, used, margin
        self.kept = kept

    @property
    def streamed(self) -> tuple[tuple[str, ...], ...]:
        return self._moving(gathers=False)

    @property
    def gathered(self) -> tuple[tuple[str, ...], ...]:
        return self._moving(gathers=True)

    def _moving(self, *, gathers: bool) -> tuple[tuple[str, ...], ...]:
        """By layer the weights that do not stay, those that are gathered or the others."""
        return tuple(
            tuple(name for name, found in layer.items() if found == gathers and name not in self.kept)
            for layer in self._used
        )

    @property
    def layers(self) -> list[int]:
        return [self._bytes(names) for names in self.streamed]

    @property
    def resident_bytes(self) -> int:
        return self._margin + self._bytes(self.kept)

    def window(self, depth: int) -> int:
        """Most bytes of ``depth`` layers that run one after the other, the first again after the last."""
        layers = self.layers
        if depth == 1 or len(layers) == 1:
            return max(layers)
        return max(a + b for a, b in zip(layers, layers[1:] + layers[:1], strict=True))

    def keep_more(self, limit: int, depth: int) -> None:
        """Let whole layers stay, largest first, and then what is gathered; the others keep their window."""
        order = sorted(range(len(self._used)), key=lambda layer: -self.layers[layer])
        for layer in order:
            before, names = set(self.kept), self.streamed[layer]
            self.kept.update(names)
            if self.resident_bytes + self.window(depth) > limit:
                self.kept = before
        for name in (name for names in self.gathered for name in names):
            if self.resident_bytes + self._specs[name].nbytes + self.window(depth) <= limit:
                self.kept.add(name)

    def _bytes(self, names: Collection[str]) -> int:
        return sum(self._specs[name].nbytes for name in names)
