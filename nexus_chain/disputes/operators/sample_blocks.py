"""``sample_blocks``: the position's logits (one block of them counts) and the whole table."""

from __future__ import annotations

from nexus_chain.disputes.step import TABLE, Needed, Step


def needed(step: Step) -> Needed:
    """Rows that the element depends on."""
    return Needed((step.rows_of(0),), (TABLE,))
