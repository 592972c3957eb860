"""What the configurations of decoder families say in the same words: sizes, windows, rotary embedding.

All of it comes from the fields that :func:`~nexus_chain.program.families.fields.read_fields` has checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_chain.program.descriptors import LONGEST_CONTEXT, ModelShape
from nexus_chain.program.families.fields import is_number, layout_error, shown
from nexus_chain.program.rotary import NUMBERS, PARAMETERS, SCALINGS, Rotation, scaled_rotation

WINDOWED, FULL = "sliding_attention", "full_attention"
ORIGINAL = "original_max_position_embeddings"
LENGTH_BOUND = ("llama3", "yarn")  # scalings that depend on the length that the network was first made for
MOST_LAYERS = 1 << 12
Fields = Mapping[str, Any]  # of a decoder, with its family's defaults


def decoder_shape(fields: Fields, **changes: Any) -> ModelShape:
    """Sizes of a dense decoder from its fields; ``changes`` are those that a family reads its own way.

    A context longer than disputes can be about is cut: positions beyond could be served, not vouched for.
    Raises :class:`CheckpointLayoutError` where a size is impossible.
    """
    heads, width, head_dim = (fields[name] for name in ("num_attention_heads", "hidden_size", "head_dim"))
    kv_heads = fields["num_key_value_heads"]
    shape = ModelShape(
        layers=fields["num_hidden_layers"],
        width=width,
        heads=heads,
        kv_heads=heads if kv_heads is None else kv_heads,
        head_dim=width // max(heads, 1) if head_dim is None else head_dim,
        ffn=fields["intermediate_size"],
        vocab=fields["vocab_size"],
        context=min(fields["max_position_embeddings"], LONGEST_CONTEXT),
        rms_eps=float(fields["rms_norm_eps"]),
        rope_theta=float(rope_parameters(fields)["rope_theta"]),
        tied=fields["tie_word_embeddings"],
        **changes,
    )
    _require_sizes(shape)
    return shape


def rotation(fields: Fields, shape: ModelShape) -> Rotation:
    """How the pairs of a head turn; :class:`CheckpointLayoutError` for a scaling that no table can hold."""
    parameters = rope_parameters(fields)
    kind = parameters["rope_type"]
    try:
        return scaled_rotation(kind, shape.head_dim, shape.rope_theta, parameters)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as cause:
        raise layout_error(f"Rotary scaling {kind!r} in config.json lacks a usable value ({cause!r})") from cause


def rope_parameters(fields: Fields) -> dict[str, Any]:
    """Kind, base and scaling of the rotary embedding in one block, as version 5 of ``transformers`` joins them.

    ``rope_scaling`` of version 4 replaces ``rope_parameters`` of version 5 where both have something; what neither
    says comes from fields beside them. Raises :class:`CheckpointLayoutError` for a kind or a parameter that is not
    supported, and where one block would silently lose the base that the other states.
    """
    older, newer = fields["rope_scaling"], fields["rope_parameters"]
    block = dict(older or newer or {})
    if (
        older
        and newer
        and "rope_theta" not in older
        and newer.get("rope_theta", fields["rope_theta"]) != (fields["rope_theta"])
    ):
        raise layout_error(
            f"config.json has both rope_scaling and rope_parameters, and only the latter says rope_theta = "
            f"{shown(newer['rope_theta'])}, while beside them it is {shown(fields['rope_theta'])}",
            "Keep one block in config.json, with the rope_theta that is meant.",
        )
    block.setdefault("rope_theta", fields["rope_theta"])
    block.setdefault("rope_type", block.get("type", "default"))
    if block["rope_type"] in LENGTH_BOUND:
        block = {ORIGINAL: fields["max_position_embeddings"], **block}
        if ORIGINAL in fields:
            block[ORIGINAL] = fields[ORIGINAL]
    _require_parameters(block)
    if block["rope_type"] == "yarn" and block.get("factor", 1) is None:  # stated as null: it follows from the lengths
        block["factor"] = fields["max_position_embeddings"] / block[ORIGINAL]
    return block


def layer_windows(fields: Fields, shape: ModelShape, first: int) -> tuple[int, ...]:
    """Every layer's window, by ``layer_types`` or else from layer ``first`` on; empty where none has one."""
    window, types = fields["sliding_window"], fields["layer_types"]
    if window is not None and window < 1:
        raise layout_error(f"The field sliding_window of config.json is {window!r}, not a positive number or null")
    if types is None:
        kind = FULL if window is None else WINDOWED
        types = [FULL if layer < first else kind for layer in range(shape.layers)]
    if len(types) != shape.layers or not all(kind in (FULL, WINDOWED) for kind in types):
        raise layout_error(
            f"The field layer_types of config.json is {shown(types)}, not {shape.layers} of {FULL}, {WINDOWED}"
        )
    if window is None and WINDOWED in types:
        raise layout_error(f"The field layer_types of config.json has {WINDOWED}, but no sliding_window is in use")
    reaches = window is None or window >= shape.context  # over the whole context, so that it is none
    windows = tuple(0 if reaches or kind == FULL else window for kind in types)
    return windows if any(windows) else ()


def _require_parameters(block: Mapping[str, Any]) -> None:
    """Refuse a rotary block with a kind, a parameter or a value that is not understood."""
    kind, theta = block["rope_type"], block["rope_theta"]
    if not isinstance(kind, str) or kind not in SCALINGS:
        raise layout_error(f"Rotary scaling {shown(kind)} is not supported, only {', '.join(SCALINGS)} are")
    if not is_number(theta) or theta <= 0:
        raise layout_error(f"The field rope_theta of config.json has no usable value: {shown(theta)}")
    if block.get("partial_rotary_factor") not in (None, 1):
        raise layout_error("A partial_rotary_factor other than 1 is not supported")
    if ORIGINAL in block and kind in LENGTH_BOUND and not (is_number(block[ORIGINAL]) and block[ORIGINAL] > 0):
        raise layout_error(f"Rotary scaling {kind!r} in config.json has no usable {ORIGINAL}: {shown(block[ORIGINAL])}")
    for name, value in block.items():
        if value is not None and name not in PARAMETERS[kind] and (name, value) != ("factor", 1):
            raise layout_error(f"Rotary scaling {kind!r} of config.json has no parameter {name}: {shown(value)}")
        if value is not None and name in NUMBERS and not is_number(value):
            raise layout_error(
                f"Rotary scaling {kind!r} in config.json lacks a usable value: {name} is {shown(value)}, no number"
            )


def _require_sizes(shape: ModelShape) -> None:
    sizes = (shape.layers, shape.width, shape.heads, shape.kv_heads, shape.head_dim, shape.ffn, shape.vocab)
    if min(*sizes, shape.context) < 1:
        raise layout_error(f"A size in config.json is not positive: {shape}")
    if shape.layers > MOST_LAYERS:
        raise layout_error(f"The field num_hidden_layers of config.json is {shape.layers}, more than {MOST_LAYERS}")
    if shape.heads % shape.kv_heads:
        raise layout_error(f"{shape.heads} heads do not divide into {shape.kv_heads} key-value heads")
    if shape.head_dim % 2:
        raise layout_error(f"Head size {shape.head_dim} is odd, rotary embeddings need pairs")
    if shape.rms_eps < 0:
        raise layout_error(f"The field rms_norm_eps of config.json is negative: {shape.rms_eps}")
