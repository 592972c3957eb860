"""``value_layout``: the one element that was copied; positions are the last dimension here."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    row, head = step.index[-1], step.index[0]
    if step.tensor.output == 1:
        return Needed((None, step.row_at(1, row, head, head + 1)))
    column = head * step.op.params["head_dim"] + step.index[1]
    return Needed((step.row_at(0, row, column, column + 1), None))
