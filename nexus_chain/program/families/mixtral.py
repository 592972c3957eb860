"""``MixtralForCausalLM``: a decoder whose feed-forward blocks are experts that a router chooses per row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.families.configuration import decoder_shape, layer_windows, layout_error
from nexus_chain.program.families.decoder import import_decoder
from nexus_chain.program.families.experts import SEPARATE, StackedExperts
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.op_kinds import broken_limit
from nexus_chain.program.recipe import Recipe

EXPERTS, EXPERTS_PER_TOKEN = 8, 2  # where config.json is silent


def import_mixtral(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with the experts that ``num_local_experts`` announces; raises the importer's errors."""
    config = {**checkpoint.config, "layer_types": None}
    shape = decoder_shape(config, **_experts(config))
    shape = decoder_shape(config, **_experts(config), windows=layer_windows(config, shape, 0))
    stacked = StackedExperts(shape.ffn)
    return import_decoder(checkpoint, shape, recipe, stacked if checkpoint.holds(stacked.router(0)) else SEPARATE)


def _experts(config: Mapping[str, Any]) -> dict[str, int]:
    """How many experts there are and how many a row chooses; CheckpointLayoutError where no program can have them."""
    experts = config.get("num_local_experts", EXPERTS)
    slots = config.get("num_experts_per_tok", EXPERTS_PER_TOKEN)
    if type(experts) is not int or type(slots) is not int:
        raise layout_error(f"num_local_experts {experts!r} or num_experts_per_tok {slots!r} is no integer")
    if problem := broken_limit({"experts": experts, "slots": slots}):
        raise layout_error(f"num_local_experts or num_experts_per_tok: {problem}")
    return {"experts": experts, "experts_per_token": slots}
