"""``sample_blocks``: one block of the position's logits, and the whole table."""

from __future__ import annotations

from nexus_chain.disputes.step import TABLE, Needed, Step

GAS_PER_ENTRY = ("block", 6_000)


def needed(step: Step) -> Needed:
    """Cells that the element depends on."""
    block, vocab = step.op.params["block"], step.op.params["vocab"]
    return Needed((step.row(0, step.column * block, min((step.column + 1) * block, vocab)),), (TABLE,))
