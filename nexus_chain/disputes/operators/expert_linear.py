"""``expert_linear``: what ``linear`` needs, of the chosen expert's weights alone, and the slot that chose it."""

from __future__ import annotations

from nexus_chain.disputes.step import Cells, Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    column, size, slot = step.column, step.op.params["columns"], step.op.params["slot"]
    chosen = step.row(3, slot, slot + 1)
    combined = (step.row(4, slot, slot + 1), step.row(5, column, column + 1)) if step.op.params["combine"] else ()
    weights = (column * size, (column + 1) * size), (2 * column, 2 * column + 2)
    first = 2 * _expert(step, chosen)
    names = step.op.weights[first : first + 2]
    return Needed((step.row(0), step.row(1), step.row(2), chosen, *combined), weights, names)


def _expert(step: Step, chosen: Cells) -> int:
    """The expert at a cell of ``index``, read as the op reads it."""
    index = int(step.read(step.op.inputs[3]).reshape(-1)[chosen[0]])
    return min(max(index, 0), step.op.params["experts"] - 1)
