"""``MistralForCausalLM``: a dense decoder whose layers look back on ``sliding_window`` positions.

With ``layer_types`` only some of them do; ``transformers`` runs such a checkpoint as ``MinistralForCausalLM``.
"""

from __future__ import annotations

from dataclasses import replace

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.families.configuration import decoder_shape, layer_windows, rotation
from nexus_chain.program.families.decoder import import_decoder
from nexus_chain.program.families.fields import read_fields
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.recipe import Recipe


def import_mistral(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with the windows that ``sliding_window`` and ``layer_types`` state; raises the importer's errors."""
    fields = read_fields(checkpoint.config, "mistral")
    shape = decoder_shape(fields)
    shape = replace(shape, windows=layer_windows(fields, shape, 0))
    return import_decoder(checkpoint, shape, rotation(fields, shape), recipe)
