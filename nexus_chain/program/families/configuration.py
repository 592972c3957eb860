"""What the configurations of decoder families say in the same words: sizes, activation, rotary embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.errors import CheckpointLayoutError


def decoder_shape(config: Mapping[str, Any], **changes: Any) -> ModelShape:
    """Sizes of a dense decoder from its configuration; ``changes`` are fields that a family reads its own way.

    Raises :class:`CheckpointLayoutError` where a size is missing or impossible, or a feature is not supported.
    """
    if config.get("hidden_act", "silu") != "silu":
        raise layout_error(f"Activation {config['hidden_act']} is not silu")
    try:
        heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
        shape = ModelShape(
            layers=int(config["num_hidden_layers"]),
            width=width,
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or width // heads),
            ffn=int(config["intermediate_size"]),
            vocab=int(config["vocab_size"]),
            context=int(config.get("max_position_embeddings", 2048)),
            rms_eps=float(config.get("rms_norm_eps", 1e-6)),
            rope_theta=_rope_theta(config),
            tied=bool(config.get("tie_word_embeddings", False)),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as cause:
        raise layout_error(f"config.json lacks a usable value ({cause!r})") from cause
    _require_sizes(shape)
    return replace(shape, **changes)


def _rope_theta(config: Mapping[str, Any]) -> float:
    """Base of the rotary embedding; scaled variants are refused, their angles are different."""
    rope = config.get("rope_parameters") or {}
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type") or scaling.get("type") or rope.get("rope_type") or "default"
    if kind != "default":
        raise layout_error(f"Rotary scaling {kind!r} is not supported, only unscaled rotary embeddings are")
    return float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0)


def _require_sizes(shape: ModelShape) -> None:
    sizes = (shape.layers, shape.width, shape.heads, shape.kv_heads, shape.head_dim, shape.ffn, shape.vocab)
    if min(*sizes, shape.context) < 1:
        raise layout_error(f"A size in config.json is not positive: {shape}")
    if shape.heads % shape.kv_heads:
        raise layout_error(f"{shape.heads} heads do not divide into {shape.kv_heads} key-value heads")
    if shape.head_dim % 2:
        raise layout_error(f"Head size {shape.head_dim} is odd, rotary embeddings need pairs")


def layout_error(message: str) -> CheckpointLayoutError:
    """The refusal of a configuration."""
    return CheckpointLayoutError(message, advice="Import another checkpoint, or one saved with save_pretrained.")
