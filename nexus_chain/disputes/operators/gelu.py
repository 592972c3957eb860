"""``gelu``: the element, and the two entries of the table that it lies between."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step
from nexus_chain.program.op_kinds import PHI_ENTRIES


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    one = step.row(0, step.column, step.column + 1)
    size = abs(int(step.read(step.op.inputs[0]).reshape(-1)[one[0]]))
    entry = min(size >> 6, PHI_ENTRIES - 1)
    return Needed((one,), ((entry, min(entry + 2, PHI_ENTRIES)),))
