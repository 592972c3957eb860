"""What keeps a model from being served.

RoutingError
├── NoNodeForLayersError   nobody serves a range of layers
├── StakeTooSmallError     more money would hang on a node than its stake covers
├── ReputationFileError    the watcher's book about nodes cannot be read or written
└── ByzantineAttackError   more than a third of the nodes is proven to have signed wrong results
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class RoutingError(NexusError):
    """Base of everything this package raises."""


class NoNodeForLayersError(RoutingError):
    """Raised when no usable node serves layers [layer_start, layer_end)."""

    def __init__(self, layer_start: int, layer_end: int, layers: int, *, detail: str = "") -> None:
        super().__init__(
            f"no usable node serves layers {layer_start}-{layer_end} of {layers}" + (f" ({detail})" if detail else ""),
            advice="See who is there with `nexus nodes`; wait for an operator to announce these layers.",
        )
        self.layer_start, self.layer_end = layer_start, layer_end


class StakeTooSmallError(RoutingError):
    """Raised when ``added`` wei more would hang on a node than its stake covers, beside ``exposure``."""

    def __init__(self, node: str, stake: int, exposure: int, added: int) -> None:
        super().__init__(
            f"node {node} stakes {stake} wei, {exposure} wei of unsettled lines hang on it, "
            f"and this would add {added} wei",
            advice="Lock or risk less (--tokens, --max-tokens, --value-at-risk), wait until lines are settled, "
            "or use other nodes; `nexus nodes` shows stakes and open lines.",
        )
        self.node, self.stake, self.exposure, self.added = node, stake, exposure, added


class ByzantineAttackError(RoutingError):
    """Raised when more than a third of a route's nodes is proven invalid."""

    def __init__(self, invalid: tuple[str, ...], nodes: int) -> None:
        super().__init__(
            f"{len(invalid)} of {nodes} nodes signed results that the program does not give: {', '.join(invalid)}",
            advice="Stop this route, dispute their receipts with `nexus-node watch`, and use other nodes.",
        )
        self.invalid, self.nodes = invalid, nodes


class ReputationFileError(RoutingError):
    """The watcher's book about nodes is damaged, or cannot be written."""
