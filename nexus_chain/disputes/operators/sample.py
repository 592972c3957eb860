"""``sample``: the position's block maxima and their entries."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    return Needed((step.row(0), step.row(1)))
