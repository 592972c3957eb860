"""``rope_quantise``: one head of the position's row, and the table's row of the position."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    size, head = step.op.params["head_dim"], step.index[1]
    table = step.position * size
    return Needed((step.row(0, head * size, (head + 1) * size),), ((table, table + size),))
