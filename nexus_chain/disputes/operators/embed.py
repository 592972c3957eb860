"""``embed``: the position's token, and the table's row of it."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step, row


def needed(step: Step) -> Needed:
    """Rows that the element depends on."""
    token = int(step.read(step.op.inputs[0])[step.position])
    return Needed((step.rows_of(0),), (row(min(max(token, 0), step.op.params["vocab"] - 1)),))
