"""The processes of one training: each computes its share of a batch, and all add up their gradients.

One process is its own and only peer. More are started by ``torchrun`` and talk over gloo on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as network
from torch import Tensor

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Peers:
    """``rank`` of this process, from 0, of ``count``."""

    rank: int
    count: int

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, batch: Sequence[_Item]) -> Sequence[_Item]:
        """This process's part of a batch; empty where there are more processes than examples."""
        return batch[self.rank :: self.count]

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.count > 1:
            for tensor in tensors:
                network.all_reduce(tensor)

    def random_states(self) -> list[Tensor]:
        """Torch's random state of every process, by rank."""
        own = torch.get_rng_state()
        if self.count == 1:
            return [own]
        found = [torch.empty_like(own) for _ in range(self.count)]
        network.all_gather(found, own)
        return found


@contextmanager
def joined_peers() -> Iterator[Peers]:
    """Join the processes that ``torchrun`` started, for the block; alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Peers(0, 1)
        return
    network.init_process_group("gloo")
    try:
        yield Peers(network.get_rank(), network.get_world_size())
    finally:
        network.destroy_process_group()
