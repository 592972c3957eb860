"""``rope_quantise``: the position's row (one head of it counts) and the table's row of the position."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step, row


def needed(step: Step) -> Needed:
    """Rows that the element depends on."""
    return Needed((step.rows_of(0),), (row(step.position),))
