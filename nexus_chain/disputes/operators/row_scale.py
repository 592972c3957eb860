"""``row_scale``: the position's maximum."""

from __future__ import annotations

from nexus_chain.disputes.step import Needed, Step


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    return Needed((step.row(0),))
