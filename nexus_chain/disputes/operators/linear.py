"""``linear``: the quantised row with its scale, one row of the matrix, its scale and bias, the residual."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step, cell


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    column, size = step.column, step.op.params["columns"]
    residual = (step.row(3, column, column + 1),) if step.op.params["residual"] else ()
    bias = (cell(column),) if step.op.params["bias"] else ()
    matrix, scale = (column * size, (column + 1) * size), (2 * column, 2 * column + 2)
    return Needed((step.row(0), step.row(1), step.row(2), *residual), (matrix, scale, *bias))
