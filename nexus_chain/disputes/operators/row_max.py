"""``row_max``: the op's columns of the position's row."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    return Needed((step.row(0, step.op.params["start"], step.op.params["stop"]),))
