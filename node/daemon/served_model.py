"""What one node serves: a layer range of a model version, at a price. Plain facts, no tensors."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.market.documents import Ask, Order


@dataclass(frozen=True)
class ServedModel:
    """Layers [layer_start, layer_end) of ``layers``, of the version with id ``version``.

    ``width``: elements of a residual row; ``context``: positions; ``vocab``: token ids. The positions of an
    ``encoder`` see each other: all of a prompt enter at once, and none follow.
    ``audit_wei_per_token``: the price of an audit, 0 where none is sold.
    """

    version: bytes
    layers: int
    layer_start: int
    layer_end: int
    width: int
    context: int
    vocab: int
    wei_per_token: int
    encoder: bool = False
    audit_wei_per_token: int = 0

    @property
    def is_first(self) -> bool:
        """Whether rows in are tokens."""
        return self.layer_start == 0

    @property
    def is_last(self) -> bool:
        """Whether rows out are sampled tokens."""
        return self.layer_end == self.layers

    @property
    def input_width(self) -> int | None:
        """Elements of a row in; None for tokens."""
        return None if self.is_first else self.width

    @property
    def ask(self) -> Ask:
        """The offer that orders have to meet."""
        return Ask(self.layer_start, self.layer_end, self.wei_per_token)

    def serves(self, order: Order, segment: int) -> bool:
        """Whether ``segment`` of ``order`` is these layers of this version."""
        if order.model_version != self.version or segment >= len(order.asks):
            return False
        ask = order.asks[segment]
        return (ask.layer_start, ask.layer_end) == (self.layer_start, self.layer_end)
