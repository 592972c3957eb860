"""``quantise``: the one element that was quantised, and its row's maximum."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    column = step.op.params["start"] + step.column
    return Needed((step.row(0, column, column + 1), step.row(1)))
