"""How often each expert of each layer is chosen over a text: what ``experts_by_use`` ranks experts by.

The integer program itself is run, so the counts are those of any node that serves the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nexus_chain.engine.engine import Engine
from nexus_chain.planning.errors import PlanInputError
from nexus_chain.program.sampling import Sampling


def count_expert_uses(
    engine: Engine, tokens: Tensor, window: int, advance: Callable[[int, int], None] = lambda done, total: None
) -> dict[int, list[int]]:
    """Uses by layer, then by expert, over tokens i32[T] cut into windows of at most ``window`` positions.

    Every token counts once for each slot of a layer, in the context that its window holds before it.
    ``engine`` holds the layers from the first on; ``advance`` is told of (tokens done, T). Raises
    PlanInputError where there is nothing to count.
    """
    routes = {op.outputs[0].name: op for op in engine.ops if op.kind == "route"}
    if not routes:
        raise PlanInputError(
            "the model has no experts to count uses of", advice="Plan it as it is: all of a dense model is used."
        )
    if not len(tokens):
        raise PlanInputError("the text makes no token", advice="Give a longer one.")
    counts = {op.layer: torch.zeros(op.params["experts"], dtype=torch.int64) for op in routes.values()}
    done = 0
    for rows in torch.split(tokens, window):
        chosen = engine.evaluate(rows, len(rows), Sampling(), list(routes))  # one sampled row: the head is not asked
        for name, op in routes.items():
            counts[op.layer] += torch.bincount(chosen[name].flatten(), minlength=op.params["experts"])
        done += len(rows)
        advance(done, len(tokens))
    return {layer: row.tolist() for layer, row in counts.items()}
