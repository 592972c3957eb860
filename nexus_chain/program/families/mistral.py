"""``MistralForCausalLM``: a dense decoder whose layers all look back on ``sliding_window`` positions."""

from __future__ import annotations

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.families.configuration import decoder_shape, layer_windows
from nexus_chain.program.families.decoder import import_decoder
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.recipe import Recipe

WINDOW = 4096  # where config.json is silent; null means no window


def import_mistral(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with the window that ``sliding_window`` states; raises the importer's errors."""
    config = {"sliding_window": WINDOW, **checkpoint.config, "layer_types": None}
    shape = decoder_shape(config)
    return import_decoder(checkpoint, decoder_shape(config, windows=layer_windows(config, shape, 0)), recipe)
