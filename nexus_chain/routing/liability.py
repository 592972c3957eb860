"""A node can lose its stake and no more, so no more than its stake may hang on it.

Two sums hang on a node: the money of all its lines that are not settled, and what a user says that an order is worth
beside its price. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from nexus_chain.errors import NexusError
from nexus_chain.routing.errors import StakeTooSmallError
from nexus_chain.routing.registry_view import ShardNode

_Choice = TypeVar("_Choice")


def with_exposure(nodes: Sequence[ShardNode], exposures: Mapping[str, int]) -> list[ShardNode]:
    """The nodes with the wei that hang on each; none on those that ``exposures`` does not name."""
    return [replace(node, exposure=exposures.get(node.node_id, 0)) for node in nodes]


def added_value(cap: int, used: int, value: int) -> int:
    """Wei that work worth ``value`` adds to a line of ``cap`` wei, ``used`` of them for work done before.

    The cap counts as exposure already; only what the work is worth beyond it comes on top.
    """
    return max(0, used + value - cap)


def require_covered(node: str, stake: int, exposure: int, added: int) -> None:
    """Raise StakeTooSmallError unless a node's stake covers what hangs on it and ``added`` wei more."""
    if exposure + added > stake:
        raise StakeTooSmallError(node, stake, exposure, added)


def choose_covered(
    nodes: Sequence[ShardNode],
    choose: Callable[[Sequence[ShardNode]], _Choice],
    added: Callable[[_Choice, ShardNode], int | None],
) -> _Choice:
    """What ``choose`` makes of the nodes whose stakes cover what its choice adds to them.

    ``added(choice, node)``: wei, None for nodes that the choice does not touch. Nodes that cannot carry it are left
    out and the choice is made again. Raises StakeTooSmallError when nobody is left because of that, else whatever
    ``choose`` raises.
    """
    left, refused = list(nodes), list[StakeTooSmallError]()
    while True:
        try:
            choice = choose(left)
        except NexusError:
            if refused:
                raise refused[0] from None
            raise
        fitting = [node for node in left if _covered(node, added(choice, node), refused)]
        if len(fitting) == len(left):
            return choice
        left = fitting


def _covered(node: ShardNode, added: int | None, refused: list[StakeTooSmallError]) -> bool:
    if added is None:
        return True
    try:
        require_covered(node.node_id, node.stake, node.exposure, added)
    except StakeTooSmallError as error:
        refused.append(error)
        return False
    return True
