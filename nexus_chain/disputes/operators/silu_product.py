"""``silu_product``: the element in both inputs, and the whole table."""

from __future__ import annotations

from nexus_chain.disputes.step import TABLE, Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    one = step.column, step.column + 1
    return Needed((step.row(0, *one), step.row(1, *one)), (TABLE,))
