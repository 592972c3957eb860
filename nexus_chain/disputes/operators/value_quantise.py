"""``value_quantise``: one head of the position's row."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    size, head = step.op.params["head_dim"], step.index[1]
    return Needed((step.row(0, head * size, (head + 1) * size),))
