"""``LlamaForCausalLM``: the dense decoder whose relatives the others are."""

from __future__ import annotations

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.families.configuration import decoder_shape, rotation
from nexus_chain.program.families.decoder import import_decoder
from nexus_chain.program.families.fields import read_fields
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.recipe import Recipe


def import_llama(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with the biases that ``attention_bias`` and ``mlp_bias`` announce; raises the importer's errors."""
    fields = read_fields(checkpoint.config, "llama")
    shape = decoder_shape(fields, attention_bias=fields["attention_bias"], mlp_bias=fields["mlp_bias"])
    return import_decoder(checkpoint, shape, rotation(fields, shape), recipe)
