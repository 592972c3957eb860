"""``row_layout``: the one element that was copied; positions are the last dimension here."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    column, row = step.index
    return Needed((step.row_at(0, row, column, column + 1),))
