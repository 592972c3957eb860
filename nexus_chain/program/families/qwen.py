"""``Qwen2ForCausalLM`` and ``Qwen3ForCausalLM``: windows per layer; biases, or norms of queries and keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.families.configuration import decoder_shape, layer_windows, rotation
from nexus_chain.program.families.decoder import import_decoder
from nexus_chain.program.families.fields import read_fields
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.recipe import Recipe


def import_qwen2(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with biases of queries, keys and values; raises the importer's errors."""
    fields = read_fields(checkpoint.config, "qwen2")
    return _import_windowed(checkpoint, recipe, fields, decoder_shape(fields, qkv_bias=True))


def import_qwen3(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with RMS norms of every query and key head; raises the importer's errors."""
    fields = read_fields(checkpoint.config, "qwen3")
    shape = decoder_shape(fields, qk_norm=True, attention_bias=fields["attention_bias"])
    return _import_windowed(checkpoint, recipe, fields, shape)


def _import_windowed(
    checkpoint: Checkpoint, recipe: Recipe, fields: Mapping[str, Any], shape: ModelShape
) -> IntegerModel:
    """Import with the windows that ``use_sliding_window`` turns on."""
    stated = fields["sliding_window"] if fields["use_sliding_window"] else None
    windows = layer_windows({**fields, "sliding_window": stated}, shape, fields["max_window_layers"])
    return import_decoder(checkpoint, replace(shape, windows=windows), rotation(fields, shape), recipe)
