"""``route``: the position's logits; the whole table where a share is disputed."""

from __future__ import annotations

from nexus_chain.disputes.step import TABLE, Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    return Needed((step.row(0),), (TABLE if step.tensor.output == 1 else None,))
