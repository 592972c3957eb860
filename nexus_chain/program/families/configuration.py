"""What the configurations of decoder families say in the same words: sizes, activation, rotary embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nexus_chain.program.descriptors import LONGEST_CONTEXT, ModelShape
from nexus_chain.program.errors import CheckpointLayoutError
from nexus_chain.program.rotary import SCALINGS, Rotation, scaled_rotation

WINDOWED, FULL = "sliding_attention", "full_attention"


def decoder_shape(config: Mapping[str, Any], **changes: Any) -> ModelShape:
    """Sizes of a dense decoder from its configuration; ``changes`` are fields that a family reads its own way.

    A context longer than disputes can be about is cut: positions beyond could be served, not vouched for.
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
            context=min(trained_context(config), LONGEST_CONTEXT),
            rms_eps=float(config.get("rms_norm_eps", 1e-6)),
            rope_theta=_rope_theta(config),
            tied=bool(config.get("tie_word_embeddings", False)),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as cause:
        raise layout_error(f"config.json lacks a usable value ({cause!r})") from cause
    _require_sizes(shape)
    return replace(shape, **changes)


def trained_context(config: Mapping[str, Any]) -> int:
    """Positions that the network was made for."""
    return int(config.get("max_position_embeddings", 2048))


def rotation(config: Mapping[str, Any], shape: ModelShape) -> Rotation:
    """How the pairs of a head turn; :class:`CheckpointLayoutError` for a scaling that no table can hold."""
    parameters = {"original_max_position_embeddings": trained_context(config), **_rope_parameters(config)}
    kind = parameters.get("rope_type", "default")
    if kind not in SCALINGS:
        raise layout_error(f"Rotary scaling {kind!r} is not supported, only {', '.join(SCALINGS)} are")
    if float(parameters.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0) != 1.0:
        raise layout_error("A partial_rotary_factor other than 1 is not supported")
    try:
        return scaled_rotation(kind, shape.head_dim, shape.rope_theta, parameters)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as cause:
        raise layout_error(f"Rotary scaling {kind!r} in config.json lacks a usable value ({cause!r})") from cause


def layer_windows(config: Mapping[str, Any], shape: ModelShape, first: int) -> tuple[int, ...]:
    """Every layer's window, by ``layer_types`` or else from layer ``first`` on; empty where none has one."""
    window = _window(config, shape)
    types = config.get("layer_types") or [FULL if layer < first else WINDOWED for layer in range(shape.layers)]
    if not isinstance(types, list) or len(types) != shape.layers or not set(types) <= {FULL, WINDOWED}:
        raise layout_error(
            f"The field layer_types of config.json is {types!r}, not {shape.layers} of {FULL}, {WINDOWED}"
        )
    windows = tuple(window if kind == WINDOWED else 0 for kind in types)
    return windows if any(windows) else ()


def _window(config: Mapping[str, Any], shape: ModelShape) -> int:
    """``sliding_window`` in positions; 0 without one, or where it reaches over the whole context."""
    window = config.get("sliding_window")
    if window is None:
        return 0
    if not isinstance(window, int) or window < 1:
        raise layout_error(f"The field sliding_window of config.json is {window!r}, not a positive number or null")
    return window if window < shape.context else 0


def _rope_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """``rope_parameters`` of newer configurations and ``rope_scaling`` of older ones, where the kind is ``type``."""
    found: dict[str, Any] = {}
    for name in ("rope_parameters", "rope_scaling"):
        entry = config.get(name) or {}
        if not isinstance(entry, dict):
            raise layout_error(f"The field {name} of config.json is {entry!r}, no object")
        kind = entry.get("rope_type") or entry.get("type")
        found.update(entry, **({"rope_type": kind} if kind else {}))
    return found


def _rope_theta(config: Mapping[str, Any]) -> float:
    """Base of the rotary embedding."""
    return float(_rope_parameters(config).get("rope_theta") or config.get("rope_theta") or 10000.0)


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
