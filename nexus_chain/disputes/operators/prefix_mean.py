"""``prefix_mean``: the column's elements up to the position; positions are the input's last dimension."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    rows = step.read(step.op.inputs[0]).shape[-1]
    start = step.column * rows
    return Needed(((start, start + step.input_row(0, step.index[0]) + 1),))
