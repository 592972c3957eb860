"""Types and shapes that the parameters of an op imply for its tensors.

A program is well formed only if every declared tensor has exactly the layout its op's parameters
give it: the overflow proof reasons from parameters alone, and executors trust the shapes. Row
dimensions are written ``SEQUENCE`` here, whether positions or sampled ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

SEQUENCE = -1
AT_LEAST_STOP = 0  # a row that is at least ``stop`` wide
EXP2_NAME = "tables.exp2"
LOG2_NAME = "tables.log2"
PHI_NAME = "tables.phi"
PHI_ENTRIES = 513
SCALE_SUFFIX = ".scale"
MAX_EXPERTS = 64  # two weights each still fit the descriptor's count of weights
MAX_SLOTS = 8
#: Kinds that read a table by position or other positions' rows: never over the sampled ones only.
EVERY_POSITION = frozenset(
    {"rope_quantise", "value_layout", "attention", "position_embed", "row_layout", "prefix_mean"}
)

Tensor = tuple[str, tuple[int, ...]]  # (type, shape)
Params = Mapping[str, int]


@dataclass(frozen=True)
class Layout:
    """Expected tensors of an op; ``weights`` also fix how each name ends."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: tuple[tuple[str, tuple[int, ...], str], ...] = ()


def layout_of(kind: str, params: Params, context: int) -> Layout:
    """What an op of ``kind`` with ``params`` reads and writes in a model of ``context`` positions."""
    return _LAYOUTS[kind](params, context)


def broken_limit(params: Params) -> str:
    """Which parameter would index tensors that no op has, or an empty string."""
    experts, slots = params.get("experts", 1), params.get("slots", 1)
    if not 1 <= experts <= MAX_EXPERTS:
        return f"{experts} experts are not between 1 and {MAX_EXPERTS}"
    if not 1 <= slots <= min(MAX_SLOTS, experts):
        return f"{slots} slots are not between 1 and {min(MAX_SLOTS, experts)}"
    if not 0 <= params.get("slot", 0) < slots:
        return f"slot {params['slot']} is not one of {slots}"
    return ""


def _row(dtype: str, *shape: int) -> Tensor:
    return dtype, (SEQUENCE, *shape)


I32 = _row("i32")
EXP2 = ("i32", (257,), EXP2_NAME)


def _planes(params: Params) -> tuple[int, ...]:
    return (2,) if params["bits"] == 15 else ()


def _embed(params: Params, context: int) -> Layout:
    table = ("i16", (params["vocab"], params["width"]), ".table")
    return Layout((I32,), (_row("i32", params["width"]),), (table,))


def _row_max(params: Params, context: int) -> Layout:
    return Layout((_row("i32", AT_LEAST_STOP),), (I32,))


def _row_squares(params: Params, context: int) -> Layout:
    return Layout((_row("i32", AT_LEAST_STOP), I32), (_row("i64"),))


def _norm_scale(params: Params, context: int) -> Layout:
    return Layout((I32, _row("i64")), (I32, I32))


def _row_scale(params: Params, context: int) -> Layout:
    return Layout((I32,), (I32, I32))


def _quantise(params: Params, context: int) -> Layout:
    columns = params["stop"] - params["start"]
    return Layout((_row("i32", AT_LEAST_STOP), I32), (_row("i8", *_planes(params), columns),))


def _linear(params: Params, context: int) -> Layout:
    rows, columns = params["rows"], params["columns"]
    output = _row("i32", rows)
    residual = (output,) if params["residual"] else ()
    bias = (("i32", (rows,), ".bias"),) if params["bias"] else ()
    weights = (("i8", (rows, columns), ".weight"), ("i32", (rows, 2), SCALE_SUFFIX), *bias)
    return Layout((_row("i8", *_planes(params), columns), I32, I32, *residual), (output,), weights)


def _rope_quantise(params: Params, context: int) -> Layout:
    heads, size = params["heads"], params["head_dim"]
    per_head = _row("i32", heads)
    outputs = (_row("i8", heads, size), per_head, per_head, per_head)
    return Layout((_row("i32", heads * size),), outputs, (("i16", (context, size), "tables.rope"),))


def _value_quantise(params: Params, context: int) -> Layout:
    heads, size = params["heads"], params["head_dim"]
    return Layout((_row("i32", heads * size),), (_row("i8", heads, size), _row("i32", heads)))


def _columns(heads: int, size: int) -> tuple[Tensor, Tensor]:
    return ("i8", (heads, size, SEQUENCE)), ("i32", (heads, SEQUENCE))


def _value_layout(params: Params, context: int) -> Layout:
    heads, size = params["heads"], params["head_dim"]
    return Layout((_row("i8", heads, size), _row("i32", heads)), _columns(heads, size))


def _attention(params: Params, context: int) -> Layout:
    heads, groups, size = params["heads"], params["kv_heads"], params["head_dim"]
    query = (_row("i8", heads, size), _row("i32", heads), _row("i32", heads))
    key = (_row("i8", groups, size), _row("i32", groups), _row("i32", groups))
    return Layout((*query, *key, *_columns(groups, size)), (_row("i32", heads * size),), (EXP2,))


def _silu_product(params: Params, context: int) -> Layout:
    row = _row("i32", params["width"])
    return Layout((row, row), (row,), (EXP2,))


def _sample_blocks(params: Params, context: int) -> Layout:
    blocks = -(-params["vocab"] // max(1, params["block"]))
    outputs = (_row("i64", blocks), _row("i32", blocks))
    return Layout((_row("i32", params["vocab"]),), outputs, (("i32", (257,), LOG2_NAME),))


def _sample(params: Params, context: int) -> Layout:
    return Layout((_row("i64", params["blocks"]), _row("i32", params["blocks"])), (I32,))


def _position_embed(params: Params, context: int) -> Layout:
    row = _row("i32", params["width"])
    return Layout((row,), (row,), (("i16", (context, params["width"]), ".table"),))


def _normalise(params: Params, context: int) -> Layout:
    size = params["size"]
    row = _row("i32", params["groups"] * size)
    bias = (("i32", (size,), ".bias"),) if params["bias"] else ()
    return Layout((row,), (row,), (("i32", (size,), ".gain"), *bias))


def _gelu(params: Params, context: int) -> Layout:
    row = _row("i32", params["width"])
    return Layout((row,), (row,), (("i32", (PHI_ENTRIES,), PHI_NAME),))


def _row_layout(params: Params, context: int) -> Layout:
    return Layout((_row("i32", params["width"]),), (("i32", (params["width"], SEQUENCE)),))


def _prefix_mean(params: Params, context: int) -> Layout:
    return Layout((("i32", (params["width"], SEQUENCE)),), (_row("i32", params["width"]),))


def _route(params: Params, context: int) -> Layout:
    slots = _row("i32", params["slots"])
    return Layout((_row("i32", params["experts"]),), (slots, slots), (EXP2,))


def _expert_linear(params: Params, context: int) -> Layout:
    rows, columns = params["rows"], params["columns"]
    output, slots = _row("i32", rows), _row("i32", params["slots"])
    combined = (slots, output) if params["combine"] else ()
    matrix = (("i8", (rows, columns), ".weight"), ("i32", (rows, 2), SCALE_SUFFIX))
    inputs = (_row("i8", *_planes(params), columns), I32, I32, slots, *combined)
    return Layout(inputs, (output,), matrix * params["experts"])


_LAYOUTS: Mapping[str, Callable[[Params, int], Layout]] = {
    "embed": _embed,
    "row_max": _row_max,
    "row_squares": _row_squares,
    "norm_scale": _norm_scale,
    "row_scale": _row_scale,
    "quantise": _quantise,
    "linear": _linear,
    "rope_quantise": _rope_quantise,
    "value_quantise": _value_quantise,
    "value_layout": _value_layout,
    "attention": _attention,
    "silu_product": _silu_product,
    "sample_blocks": _sample_blocks,
    "sample": _sample,
    "position_embed": _position_embed,
    "normalise": _normalise,
    "gelu": _gelu,
    "row_layout": _row_layout,
    "prefix_mean": _prefix_mean,
    "route": _route,
    "expert_linear": _expert_linear,
}
