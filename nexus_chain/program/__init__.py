"""Integer programs: op descriptors, importers, quantisation, overflow proofs.

Knows nothing of executors, commitments, chains or nodes.
"""

from __future__ import annotations

from nexus_chain.program.descriptors import POSITIONS, SAMPLED, ModelShape, Op, Program, TensorSpec
from nexus_chain.program.hugging_face import import_checkpoint
from nexus_chain.program.llama import ActivationBits, llama_program
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.random_model import PRESETS, random_model

__all__ = [
    "POSITIONS",
    "PRESETS",
    "SAMPLED",
    "ActivationBits",
    "IntegerModel",
    "ModelShape",
    "Op",
    "Program",
    "TensorSpec",
    "import_checkpoint",
    "llama_program",
    "random_model",
]
