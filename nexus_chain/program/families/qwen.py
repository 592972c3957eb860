"""``Qwen2ForCausalLM`` and ``Qwen3ForCausalLM``: windows per layer; biases, or norms of queries and keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.families.configuration import decoder_shape, layer_windows
from nexus_chain.program.families.decoder import import_decoder
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.recipe import Recipe

HEAD_DIM = 128  # of Qwen3, where config.json is silent
FIRST_WINDOWED = 28  # the first layer with a window, where config.json is silent


def import_qwen2(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with biases of queries, keys and values; raises the importer's errors."""
    shape = decoder_shape({**checkpoint.config, "head_dim": None}, qkv_bias=True)
    return import_decoder(checkpoint, _windowed(checkpoint.config, shape), recipe)


def import_qwen3(checkpoint: Checkpoint, recipe: Recipe) -> IntegerModel:
    """Import with RMS norms of every query and key head; raises the importer's errors."""
    config = {"head_dim": HEAD_DIM, **checkpoint.config}
    shape = decoder_shape(config, qk_norm=True, attention_bias=bool(config.get("attention_bias", False)))
    return import_decoder(checkpoint, _windowed(config, shape), recipe)


def _windowed(config: Mapping[str, Any], shape: ModelShape) -> ModelShape:
    """The windows that ``use_sliding_window`` turns on."""
    if not config.get("use_sliding_window", False):
        return shape
    return replace(shape, windows=layer_windows(config, shape, int(config.get("max_window_layers", FIRST_WINDOWED))))
