"""What a node asks where its operator named no price: the policy's, for the weights it serves and how fast it is."""

from __future__ import annotations

import math
import time

import torch

from nexus_chain.commitments.tensor_block import TensorBlock
from nexus_chain.engine.engine import Engine
from nexus_chain.market.pricing import ask_for
from nexus_chain.program.sampling import Sampling
from node.daemon.serving.scheduler import SegmentEngine

#: Positions computed to measure a latency; the first ones find caches cold.
_POSITIONS = 8


def policy_price(block: TensorBlock, engine: SegmentEngine) -> int:
    """Wei per token for the block's layers, by ``market.pricing``."""
    specs = block.program.weights_of(block.layer_start, block.layer_end)
    weights = sum(math.prod(spec.shape) for spec in specs)
    return ask_for(block.layer_start, block.layer_end, weights, latency_ms(block, engine)).wei_per_token


def latency_ms(block: TensorBlock, engine: SegmentEngine) -> float:
    """Milliseconds of the fastest of a few positions; infinite for a shard that is read from disk.

    A shard on disk is not measured: each position would read all of it, and verify it where that is put off.
    """
    if not isinstance(engine, Engine):
        return math.inf
    row = torch.zeros((1,) if block.layer_start == 0 else (1, block.program.shape.width), dtype=torch.int32)
    return 1000 * min(_seconds_of(engine, row) for _ in range(_POSITIONS))


def _seconds_of(engine: Engine, row: torch.Tensor) -> float:
    state = engine.open(1, Sampling(), 1)
    begun = time.perf_counter()
    engine.forward([(state, row)])
    return time.perf_counter() - begun
