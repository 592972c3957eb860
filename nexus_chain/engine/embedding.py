"""Embeddings of texts: the last of the rows that leave an encoder's last but one layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nexus_chain.engine.engine import Engine
from nexus_chain.program.sampling import Sampling


def embeddings(engine: Engine, texts: Sequence[Tensor]) -> Tensor:
    """i32[n, width] with 16 fraction bits, one row per text of tokens i32[t], t >= 1; one batch.

    ``engine`` holds all layers of an encoder but the last, which only samples. Raises
    :class:`ContextExceededError` for a text longer than the context.
    """
    batch = [(engine.open(len(text), Sampling(), len(text)), text) for text in texts]
    return torch.stack([rows[-1] for rows in engine.forward(batch)])
