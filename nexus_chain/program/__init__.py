"""Integer programs: op descriptors, importers, quantisation, overflow proofs.

Knows nothing of executors, commitments, chains or nodes.
"""

from __future__ import annotations

from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import POSITIONS, SAMPLED, ModelShape, Op, Program, TensorSpec
from nexus_chain.program.encoder import encoder_program
from nexus_chain.program.hugging_face import import_checkpoint
from nexus_chain.program.model import IntegerModel, check_weight_ranges
from nexus_chain.program.overflow import OverflowReport, prove_no_overflow
from nexus_chain.program.random_model import PRESETS, program_of, random_model
from nexus_chain.program.recipe import ActivationBits, Recipe
from nexus_chain.program.sampling import Sampling

__all__ = [
    "POSITIONS",
    "PRESETS",
    "SAMPLED",
    "ActivationBits",
    "IntegerModel",
    "ModelShape",
    "Op",
    "OverflowReport",
    "Program",
    "Recipe",
    "Sampling",
    "TensorSpec",
    "check_weight_ranges",
    "decoder_program",
    "encoder_program",
    "import_checkpoint",
    "program_of",
    "prove_no_overflow",
    "random_model",
]
