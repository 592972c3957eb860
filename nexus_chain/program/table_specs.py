"""Names, types and shapes of the tables that every program commits to. Their entries: ``tables``, with torch."""

from __future__ import annotations

from nexus_chain.program.descriptors import TensorSpec
from nexus_chain.program.op_kinds import PHI_ENTRIES, PHI_NAME

EXP2_SPEC = TensorSpec("tables.exp2", "i32", (257,))
LOG2_SPEC = TensorSpec("tables.log2", "i32", (257,))
PHI_SPEC = TensorSpec(PHI_NAME, "i32", (PHI_ENTRIES,))
