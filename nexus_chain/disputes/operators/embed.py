"""``embed``: the position's token, and one element of its row in the table."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step, cell


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    token = int(step.read(step.op.inputs[0])[step.position])
    inside = min(max(token, 0), step.op.params["vocab"] - 1)
    return Needed((step.row(0),), (cell(inside * step.op.params["width"] + step.column),))
