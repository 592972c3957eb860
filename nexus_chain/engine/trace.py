"""Every committed tensor of a segment, recomputed in prefill order.

A finished inference is audited or disputed by running all its positions through the segment at
once; exactness makes the result equal to what serving produced chunk by chunk.
"""

from __future__ import annotations

from torch import Tensor

from nexus_chain.engine.engine import Engine
from nexus_chain.program.sampling import Sampling


class TraceExecutor:
    """Runs one sequence through the segment of ``engine`` (whose weights it shares) and keeps everything."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._names = [spec.name for op in engine.ops for spec in op.outputs]

    def run(self, rows: Tensor, prompt_length: int, sampling: Sampling) -> dict[str, Tensor]:
        """Outputs of every op by tensor name, in op order.

        ``rows`` are the segment's input: tokens i32[T], or the residual i32[T, width].
        """
        found = self._engine.evaluate(rows, prompt_length, sampling, self._names)
        return {name: found[name] for name in self._names}
