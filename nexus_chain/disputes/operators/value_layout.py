"""``value_layout``: the one row that was copied; positions are the last dimension here."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step, row


def needed(step: Step) -> Needed:
    """Rows that the element depends on."""
    position = step.index[-1]
    if step.tensor.output == 1:
        return Needed((None, row(position)))
    head = step.index[0]
    return Needed((row(position * step.op.params["heads"] + head), None))
