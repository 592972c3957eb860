"""``linear``: the quantised row with its scale, one row of the matrix, its scale and bias, the residual."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step, row


def needed(step: Step) -> Needed:
    """Rows that the element depends on."""
    planes = 2 if step.op.params["bits"] == 15 else 1
    others = (step.rows_of(number) for number in range(1, len(step.op.inputs)))
    return Needed((step.rows_of(0, planes), *others), (row(step.column),) * len(step.op.weights))
