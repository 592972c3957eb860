"""Prompts that begin alike: the turns of a conversation, and questions after the same instructions.

What a position gives depends on the rows before it alone, and programs are exact. So where the rows are the same, a
sequence takes over what another one computed, and nothing but the time tells the difference. They are billed as any
others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LEAST_SHARED = 16
"""Shorter beginnings are computed again: looking for them costs as much."""
MOST_COMPARED = 4
"""Prompts with the same first rows that are compared to their end."""


@dataclass(frozen=True, eq=False)
class GivenPrompt:
    """The first rows of an order's prompt, and what they gave.

    ``state``: the engine's. ``rows`` i32[t] or i32[t, width]. ``outputs`` i32[t, width]; none of the last segment,
    where a prompt gives nothing before its end.

    INVARIANT: the state keeps these positions as they are: the ledger lets nobody drop a row of a prompt. A client who
    could put other rows there would have the node sign, for the next order, what its rows do not give.
    """

    session: bytes
    state: Any
    rows: Tensor
    outputs: Tensor


@dataclass(frozen=True, eq=False)
class SharedBeginning:
    """``length`` positions of ``prompt``, and what they gave."""

    prompt: GivenPrompt | None
    length: int
    outputs: Tensor


NOTHING_SHARED = SharedBeginning(None, 0, torch.empty(0, dtype=torch.int32))


def longest_beginning(session: bytes, rows: Tensor, prompts: Iterable[GivenPrompt | None]) -> SharedBeginning:
    """What ``rows`` have in common with the prompts of their session, the first few that begin alike compared."""
    best, compared = NOTHING_SHARED, 0
    for prompt in prompts:
        if prompt is None or prompt.session != session or not _begin_alike(prompt.rows, rows):
            continue
        length = _common_length(prompt.rows, rows)
        if length > best.length:
            best = SharedBeginning(prompt, length, prompt.outputs[:length])
        compared += 1
        if compared == MOST_COMPARED or best.length == len(rows):
            break
    return best


def _begin_alike(one: Tensor, other: Tensor) -> bool:
    least = LEAST_SHARED
    return len(one) >= least and len(other) >= least and torch.equal(one[:least], other[:least])


def _common_length(one: Tensor, other: Tensor) -> int:
    length = min(len(one), len(other))
    same = (one[:length] == other[:length]).reshape(length, -1).all(dim=1)
    return length if bool(same.all()) else int(same.int().argmin())
