"""Whole answers from engines in one process; nodes and clients drive segments over the wire instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nexus_chain.engine.cache import SegmentState
from nexus_chain.engine.engine import Engine
from nexus_chain.program.sampling import Sampling


def generate(
    engines: Sequence[Engine], prompt: Sequence[int], max_tokens: int, sampling: Sampling | None = None
) -> Iterator[int]:
    """Sampled tokens one by one, at most ``max_tokens``; the caller stops at its end-of-text token.

    ``engines`` are the segments in order, covering all layers. Raises
    :class:`ContextExceededError` when prompt and answer do not fit the context.
    """
    chosen, capacity = sampling or Sampling(), len(prompt) + max_tokens - 1
    states = [engine.open(len(prompt), chosen, capacity) for engine in engines]
    rows = torch.tensor(prompt, dtype=torch.int32)
    for _ in range(max_tokens):
        rows = _through(engines, states, rows)
        yield int(rows[-1])


def _through(engines: Sequence[Engine], states: Sequence[SegmentState], rows: Tensor) -> Tensor:
    for engine, state in zip(engines, states, strict=True):
        rows = engine.forward([(state, rows)])[0]
    return rows
