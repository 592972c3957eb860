"""What serving a range of layers takes: memory for weights, caches and activations, and work per token.

Computed from the op list with the sizes the engine really allocates. Knows no nodes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from nexus_chain.engine.cache import cache_bytes
from nexus_chain.engine.engine import CHUNK_ROWS
from nexus_chain.engine.native_plan import plan_steps
from nexus_chain.planning.errors import PlanInputError
from nexus_chain.program import Op, Program
from nexus_chain.program.op_kinds import KINDS


@dataclass(frozen=True)
class Load:
    """``sessions`` sequences at once, each of up to ``context`` positions."""

    context: int
    sessions: int = 1

    def check(self, program: Program) -> None:
        """Raise PlanInputError unless the model can carry it."""
        if not 1 <= self.context <= program.shape.context:
            raise PlanInputError(
                f"a context of {self.context} positions is none of a model with {program.shape.context}",
                advice=f"Choose 1 to {program.shape.context}.",
            )
        if self.sessions < 1:
            raise PlanInputError(f"{self.sessions} sessions are nothing to plan for", advice="Choose 1 or more.")


@dataclass(frozen=True)
class Demand:
    """Bytes in memory by purpose, bytes of experts left on disk, and multiply-accumulates per token."""

    parameters: int
    cold_experts: int
    kv_cache: int
    activations: int
    work: int

    @property
    def memory(self) -> int:
        """Bytes that have to be in memory."""
        return self.parameters + self.kv_cache + self.activations


class ModelDemand:
    """Demands of the layer ranges of one program under one load; weights of experts in ``cold`` stay on disk."""

    def __init__(self, program: Program, load: Load, cold: Collection[str] = frozenset()) -> None:
        """Raises PlanInputError."""
        load.check(program)
        self.program, self.load, self.cold = program, load, frozenset(cold)

    @property
    def layers(self) -> int:
        return self.program.shape.layers

    def of(self, start: int, end: int) -> Demand:
        """Demand of layers [start, end)."""
        names = set().union(*self._weights[start:end])
        cold = sum(self._bytes[name] for name in names & self.cold)
        return Demand(
            parameters=sum(self._bytes[name] for name in names) - cold,
            cold_experts=cold,
            kv_cache=sum(self._caches[start:end]),
            activations=max(self._activations[start:end]),
            work=sum(self._work[start:end]),
        )

    @cached_property
    def _bytes(self) -> dict[str, int]:
        return {spec.name: spec.nbytes for spec in self.program.weights}

    @cached_property
    def _ops(self) -> list[list[Op]]:
        layers: list[list[Op]] = [[] for _ in range(self.layers)]
        for op in self.program.ops:
            layers[op.layer].append(op)
        return layers

    @cached_property
    def _weights(self) -> list[set[str]]:
        return [{name for op in ops for name in op.weights} for ops in self._ops]

    @cached_property
    def _caches(self) -> list[int]:
        one = [sum(cache_bytes(op, self.load.context) for op in ops if KINDS[op.kind].cached) for ops in self._ops]
        return [size * self.load.sessions for size in one]

    @cached_property
    def _activations(self) -> list[int]:
        """Of a batch of CHUNK_ROWS rows; layers that run one after the other share these buffers."""
        return [self._buffers(layer) * CHUNK_ROWS for layer in range(self.layers)]

    def _buffers(self, layer: int) -> int:
        program = self.program
        source = program.tensors[program.input_of(layer, layer + 1)]
        plan = plan_steps(self._ops[layer], source, [program.output_of(layer, layer + 1)])
        return sum(buffer.row_bytes for buffer in plan.buffers)

    @cached_property
    def _work(self) -> list[int]:
        return [sum(self._work_of(op) for op in ops) for ops in self._ops]

    def _work_of(self, op: Op) -> int:
        """Multiply-accumulates of bytes for one token at the end of its context; small ops count nothing."""
        if op.kind == "attention":
            return 2 * op.params["heads"] * op.params["head_dim"] * self.load.context
        specs = self.program.weight_specs
        passes = 2 if op.params.get("bits") == 15 else 1  # 15-bit activations take two products
        total = passes * sum(specs[name].nbytes for name in op.weights if specs[name].dtype == "i8")
        return total // op.params["experts"] if op.kind == "expert_linear" else total  # it may use any, and uses one
