"""``position_embed``: the element, and the one of the table in its position's row."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step, cell


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    column = step.column
    table = step.position * step.op.params["width"] + column
    return Needed((step.row(0, column, column + 1),), (cell(table),))
