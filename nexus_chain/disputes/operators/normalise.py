"""``normalise``: one group of the position's row, and the column's gain and bias."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step, cell

GAS_PER_ENTRY = ("size", 250)


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    size = step.op.params["size"]
    group, column = divmod(step.column, size)
    return Needed((step.row(0, group * size, (group + 1) * size),), (cell(column),) * len(step.op.weights))
