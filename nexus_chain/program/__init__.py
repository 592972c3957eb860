"""Integer programs: op descriptors, importers, quantisation, overflow proofs.

Knows nothing of executors, commitments, chains or nodes. Each name is loaded when it is first used: who reads a
program needs neither torch nor a prover.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nexus_chain.program.decoder import decoder_program as decoder_program
    from nexus_chain.program.descriptors import POSITIONS as POSITIONS
    from nexus_chain.program.descriptors import SAMPLED as SAMPLED
    from nexus_chain.program.descriptors import ModelShape as ModelShape
    from nexus_chain.program.descriptors import Op as Op
    from nexus_chain.program.descriptors import Program as Program
    from nexus_chain.program.descriptors import TensorSpec as TensorSpec
    from nexus_chain.program.encoder import encoder_program as encoder_program
    from nexus_chain.program.hugging_face import import_checkpoint as import_checkpoint
    from nexus_chain.program.model import IntegerModel as IntegerModel
    from nexus_chain.program.model import check_weight_ranges as check_weight_ranges
    from nexus_chain.program.overflow import OverflowReport as OverflowReport
    from nexus_chain.program.overflow import prove_no_overflow as prove_no_overflow
    from nexus_chain.program.random_weights import PRESETS as PRESETS
    from nexus_chain.program.random_weights import program_of as program_of
    from nexus_chain.program.random_weights import random_model as random_model
    from nexus_chain.program.recipe import ActivationBits as ActivationBits
    from nexus_chain.program.recipe import Recipe as Recipe
    from nexus_chain.program.sampling import Sampling as Sampling

_PLACES = {
    "POSITIONS": "descriptors",
    "PRESETS": "random_weights",
    "SAMPLED": "descriptors",
    "ActivationBits": "recipe",
    "IntegerModel": "model",
    "ModelShape": "descriptors",
    "Op": "descriptors",
    "OverflowReport": "overflow",
    "Program": "descriptors",
    "Recipe": "recipe",
    "Sampling": "sampling",
    "TensorSpec": "descriptors",
    "check_weight_ranges": "model",
    "decoder_program": "decoder",
    "encoder_program": "encoder",
    "import_checkpoint": "hugging_face",
    "program_of": "random_weights",
    "prove_no_overflow": "overflow",
    "random_model": "random_weights",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found
