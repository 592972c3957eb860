"""``LlamaForCausalLM``: the dense decoder whose relatives the others are."""

from __future__ import annotations

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.families.configuration import decoder_shape
from nexus_chain.program.families.decoder import import_decoder
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.recipe import Recipe


def import_llama(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with the biases that ``attention_bias`` and ``mlp_bias`` announce; raises the importer's errors."""
    config = checkpoint.config
    biases = {name: bool(config.get(name, False)) for name in ("attention_bias", "mlp_bias")}
    return import_decoder(checkpoint, decoder_shape(config, **biases), recipe)
