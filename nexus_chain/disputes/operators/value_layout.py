"""``value_layout``: the one element that was copied; positions are the last dimension here."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step, cell


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    heads, size = step.op.params["heads"], step.op.params["head_dim"]
    position, head = step.index[-1], step.index[0]
    if step.tensor.output == 1:
        return Needed((None, cell(position * heads + head)))
    return Needed((cell((position * heads + head) * size + step.index[1]), None))
