"""What keeps a model from being planned.

PlanningError
├── ShardCountError   a model cannot be cut into so many shards
├── PlacementError    no node has room for a shard
└── PlanInputError    nodes, a load or a histogram that no plan can be made from
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class PlanningError(NexusError):
    """Base of everything this package raises."""


class ShardCountError(PlanningError):
    """Raised when a model cannot be cut into the number of shards asked for."""


class PlacementError(PlanningError):
    """Raised when a shard fits no free node."""


class PlanInputError(PlanningError):
    """Raised when nodes, a load or an experts' histogram make no sense."""
