"""What layers give, computed here: to decide between nodes, and to know what an auditor should find.

Only an answer that went wrong, or one that is audited with the weights here, needs it. So the engine and torch, which
take seconds to import, come in with the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nexus_chain.market.documents import Order
from nexus_chain.program.sampling import Sampling
from nexus_chain.wire.peer import RowArray

if TYPE_CHECKING:
    from nexus_chain.program.model import IntegerModel


def compute_segment(
    model: IntegerModel, layers: tuple[int, int], order: Order, prompt_length: int, rows: RowArray
) -> RowArray:
    """What layers [start, end) give for all of ``rows`` at once: i32[t, width], or the sampled tokens i32[n]."""
    import torch

    from nexus_chain.engine.engine import Engine

    engine = Engine(model.program, model.weights, *layers)
    state = engine.open(prompt_length, Sampling(order.sampling, order.sampling_seed), len(rows))
    out: RowArray = engine.forward([(state, torch.from_numpy(np.ascontiguousarray(rows)))])[0].cpu().numpy()
    return out
