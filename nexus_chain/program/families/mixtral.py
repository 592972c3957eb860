"""``MixtralForCausalLM``: a decoder whose feed-forward blocks are experts that a router chooses per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.families.configuration import decoder_shape, layer_windows, rotation
from nexus_chain.program.families.decoder import import_decoder
from nexus_chain.program.families.experts import SEPARATE, StackedExperts
from nexus_chain.program.families.fields import layout_error, read_fields
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.op_kinds import broken_limit
from nexus_chain.program.recipe import Recipe


def import_mixtral(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with the experts that ``num_local_experts`` announces; raises the importer's errors."""
    fields = {**read_fields(checkpoint.config, "mixtral"), "layer_types": None}
    shape = decoder_shape(fields, **_experts(fields))
    shape = replace(shape, windows=layer_windows(fields, shape, 0))
    stacked = StackedExperts(shape.ffn)
    experts = stacked if checkpoint.holds(stacked.router(0)) else SEPARATE
    return import_decoder(checkpoint, shape, rotation(fields, shape), recipe, experts)


def _experts(fields: Mapping[str, Any]) -> dict[str, int]:
    """How many experts there are and how many a row chooses; CheckpointLayoutError where no program can have them."""
    other = fields["num_experts"]  # another name of the same field, which wins
    experts, slots = fields["num_local_experts"] if other is None else other, fields["num_experts_per_tok"]
    if problem := broken_limit({"experts": experts, "slots": slots}):
        raise layout_error(f"num_local_experts or num_experts_per_tok: {problem}")
    return {"experts": experts, "experts_per_token": slots}
