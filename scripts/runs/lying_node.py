"""A node that lies, for the demo and the tests: ``nexus-node`` with an engine that alters one element.

    export NEXUS_LIE='{"tensor": "...", "position": 3, "column": 7, "flip": 16}'
    python -m scripts.runs.lying_node --data DIR start

Every op after the altered element is computed from it, both in serving and when the node defends itself. So the node
signs a result and a trace that are wrong in exactly one step. The last segment tells a lie in ``sequence``: it hands
out another token than the one that it sampled. Nothing of this is in the shipped daemon, which runs here unchanged
around the lying engine.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nexus_chain.disputes import trace
from nexus_chain.disputes.trace_layout import SEQUENCE
from nexus_chain.engine.cache import Batch
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.torch_executor import TorchExecutor
from nexus_chain.program import POSITIONS, Op, Program
from nexus_chain.program.sampling import Sampling

VARIABLE = "NEXUS_LIE"
TOKEN = "sample.token"


@dataclass(frozen=True)
class Lie:
    """Element ``column`` of ``tensor``'s row at ``position`` is XORed with ``flip``."""

    tensor: str
    position: int
    column: int
    flip: int

    def told(self, name: str, tensor: Tensor, batch: Batch) -> Tensor:
        """``tensor``, rows of the batch, with the lie in it where it belongs."""
        positions = batch.positions[batch.sampled_rows] if name == TOKEN else batch.positions
        rows = (positions == self.position).nonzero().flatten()
        if name != self.tensor or len(rows) == 0:
            return tensor
        altered = tensor.clone().contiguous()
        altered.view(len(altered), -1)[rows, self.column] ^= self.flip
        return altered


class LyingExecutor(TorchExecutor):
    """Whoever reads the lie's tensor reads the lie; ``lie`` is None where another segment puts that tensor out.

    A trace is recomputed layer by layer: altered once more as the next layer's input, the lie would be undone.
    """

    lie: Lie | None

    def run(self, rows: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {name: self._told(name, tensor, batch) for name, tensor in super().run(rows, batch).items()}

    def _operand(self, op: Op, name: str, tensor: Tensor, batch: Batch) -> Tensor:
        return super()._operand(op, name, self._told(name, tensor, batch), batch)

    def _told(self, name: str, tensor: Tensor, batch: Batch) -> Tensor:
        return self.lie.told(name, tensor, batch) if self.lie else tensor


class LyingEngine(Engine):
    """An engine for ``Lie``s; ``current`` is this process's."""

    current: Lie

    def __init__(self, program: Program, weights: Mapping[str, Tensor], *range_and_threads: Any, **_: Any) -> None:
        super().__init__(program, weights, *range_and_threads[:3], backend="torch")

    def _build(self, keep: Any) -> TorchExecutor:
        executor, lie = LyingExecutor(self.ops, self._weights, keep), self.current
        if lie.tensor == SEQUENCE and list(keep) == [TOKEN]:  # serving, not tracing
            lie = replace(lie, tensor=TOKEN)
        own = {spec.name for op in self.ops for spec in op.outputs}
        executor.lie = lie if lie.tensor in own else None
        return executor


class LyingTrace(trace.Trace):
    """Ends in the sequence that was handed out."""

    def _answer(self) -> Tensor:
        answer, lie = super()._answer(), LyingEngine.current
        if lie.tensor == SEQUENCE and lie.position + 1 < len(answer):
            answer[lie.position + 1] ^= lie.flip
        return answer


def choose_lie(
    program: Program,
    weights: Mapping[str, Tensor],
    layers: tuple[int, int],
    tokens: Tensor,
    seed: int,
    kind: str | None = None,
) -> Lie:
    """A random element of a random op of the segment, drawn until its change reaches the segment's output.

    ``tokens`` i32[P] is the prompt that will be asked; the segment starts at layer 0; ``kind``: of such an op.
    """
    chance = random.Random(seed)
    honest = _output(Engine(program, weights, *layers), tokens)
    ops = [op for op in program.segment(*layers) if kind in (None, op.kind)]
    specs = [spec for op in ops for spec in op.outputs if spec.shape[0] == POSITIONS]
    while True:
        spec = chance.choice(specs)
        columns = 1
        for size in spec.shape[1:]:
            columns *= size
        lie = Lie(spec.name, chance.randrange(len(tokens)), chance.randrange(columns), 1 << chance.randrange(7))
        LyingEngine.current = lie
        if not torch.equal(_output(LyingEngine(program, weights, *layers), tokens), honest):
            return lie


def _output(engine: Engine, tokens: Tensor) -> Tensor:
    return engine.forward([(engine.open(len(tokens), Sampling(), len(tokens)), tokens)])[0]


def environment(lie: Lie) -> dict[str, str]:
    """What a process that shall tell this lie is started with."""
    return {**os.environ, VARIABLE: json.dumps(asdict(lie))}


def main() -> None:
    """The daemon, its engine and its traces replaced."""
    import node.daemon.shard_loading
    from node.daemon import command as daemon
    from node.daemon.upkeep import defence

    LyingEngine.current = Lie(**json.loads(os.environ[VARIABLE]))
    node.daemon.shard_loading.Engine = LyingEngine  # type: ignore[misc]
    trace.Engine = LyingEngine  # type: ignore[misc]
    defence.Trace = LyingTrace  # type: ignore[misc]
    daemon.main()


if __name__ == "__main__":
    main()
