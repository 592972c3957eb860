"""The one list of op kinds: number, parameters, tensors and properties of each.

Whatever else belongs to a kind stands where it is used: its bounds in ``overflow.py``, its kernels in
``nexus_chain/engine``, what a step of it reads in ``nexus_chain/disputes/operators``. Each of these places
collects one function per kind with :class:`PerKind`, which fails at import while a kind lacks its function.
The enumeration in C and the constants and the dispatch in Solidity are written by ``scripts/generate_op_kinds.py``.

A program is well formed only if every declared tensor has exactly the layout its op's parameters
give it: the overflow proof reasons from parameters alone, and executors trust the shapes. Row
dimensions are written :data:`ROWS` here, whether positions or sampled ones. What a kind *computes* is written in
``OPERATORS.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nexus_chain.program.errors import KindTableError

ROWS = -1
AT_LEAST_READ = 0  # a row that is at least as wide as what is read of it: up to ``stop``, or ``vocab`` entries
EXP2_NAME = "tables.exp2"
LOG2_NAME = "tables.log2"
PHI_NAME = "tables.phi"
PHI_ENTRIES = 513
SCALE_SUFFIX = ".scale"
MAX_EXPERTS = 64  # two weights each still fit the descriptor's count of weights
MAX_SLOTS = 8

Tensor = tuple[str, tuple[int, ...]]  # (type, shape)
Params = Mapping[str, int]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Layout:
    """Expected tensors of an op; ``weights`` also fix how each name ends."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: tuple[tuple[str, tuple[int, ...], str], ...] = ()


@dataclass(frozen=True)
class OpKind:
    """What every op of a kind has in common.

    ``code`` is the kind's number and ``params`` the order of its parameters in canonical descriptors. ``layout``
    gives an op's tensors from its parameters and the model's context.
    """

    code: int
    params: tuple[str, ...]
    layout: Callable[[Params, int], Layout]
    every_position: bool = False
    """It reads a table by position or other positions' rows: it never runs over the sampled positions only."""
    sums_positions: bool = False
    """It sums over positions, so its bounds depend on how many there can be."""
    cached: bool = False
    """A sequence keeps what it read at earlier positions in a cache."""
    matrix: bool = False
    """It multiplies rows by a matrix among its weights; nearly all work of a program is in such ops."""
    gathered: bool = False
    """It reads few rows of its weights, and which ones depends on the tokens."""

    @property
    def weights(self) -> tuple[str, ...]:
        """The last part of the name of each weight, of an op that has all that the kind can have."""
        every = self.layout(dict.fromkeys(self.params, 1), 1)
        return tuple(ending.rpartition(".")[2] for _, _, ending in every.weights)


class PerKind(Generic[Function]):
    """One function per op kind, each named like its kind behind an underscore.

    Decorate the functions with an instance, then take the table from :meth:`complete`. Both raise
    :class:`KindTableError`, at import.
    """

    def __init__(self, purpose: str) -> None:
        self._purpose, self._found = purpose, dict[str, Function]()

    def __call__(self, function: Function) -> Function:
        """Enter ``function`` under its name."""
        kind = function.__name__.removeprefix("_")
        if kind not in KINDS or kind in self._found:
            raise KindTableError(
                f"{kind} is no op kind, or stands twice in {self._purpose}", advice="Name the function like its kind."
            )
        self._found[kind] = function
        return function

    def complete(self, without: Collection[str] = ()) -> Mapping[str, Function]:
        """The functions by kind, in the order of :data:`KINDS`; kinds named in ``without`` have none."""
        return collect(self._found, self._purpose, without)


def collect(found: Mapping[str, Function], purpose: str, without: Collection[str] = ()) -> Mapping[str, Function]:
    """``found`` in the order of :data:`KINDS`; :class:`KindTableError` names a kind that it lacks."""
    if missing := [kind for kind in KINDS if kind not in found and kind not in without]:
        raise KindTableError(
            f"{purpose} lacks the op kind {missing[0]}", advice="docs/adding-an-op.md lists what a kind needs."
        )
    return {kind: found[kind] for kind in KINDS if kind in found}


def layout_of(kind: str, params: Params, context: int) -> Layout:
    """What an op of ``kind`` with ``params`` reads and writes in a model of ``context`` positions."""
    return KINDS[kind].layout(params, context)


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
    return dtype, (ROWS, *shape)


I32 = _row("i32")
EXP2 = ("i32", (257,), EXP2_NAME)


def _planes(params: Params) -> tuple[int, ...]:
    return (2,) if params["bits"] == 15 else ()


def _embed(params: Params, context: int) -> Layout:
    table = ("i16", (params["vocab"], params["width"]), ".table")
    return Layout((I32,), (_row("i32", params["width"]),), (table,))


def _row_max(params: Params, context: int) -> Layout:
    return Layout((_row("i32", AT_LEAST_READ),), (I32,))


def _row_squares(params: Params, context: int) -> Layout:
    return Layout((_row("i32", AT_LEAST_READ), I32), (_row("i64"),))


def _norm_scale(params: Params, context: int) -> Layout:
    return Layout((I32, _row("i64")), (I32, I32))


def _row_scale(params: Params, context: int) -> Layout:
    return Layout((I32,), (I32, I32))


def _quantise(params: Params, context: int) -> Layout:
    columns = params["stop"] - params["start"]
    return Layout((_row("i32", AT_LEAST_READ), I32), (_row("i8", *_planes(params), columns),))


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
    return ("i8", (heads, size, ROWS)), ("i32", (heads, ROWS))


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
    return Layout((_row("i32", AT_LEAST_READ),), outputs, (("i32", (257,), LOG2_NAME),))


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
    return Layout((_row("i32", params["width"]),), (("i32", (params["width"], ROWS)),))


def _prefix_mean(params: Params, context: int) -> Layout:
    return Layout((("i32", (params["width"], ROWS)),), (_row("i32", params["width"]),))


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


KINDS: Mapping[str, OpKind] = {
    "embed": OpKind(1, ("vocab", "width", "shift"), _embed, gathered=True),
    "row_max": OpKind(2, ("start", "stop"), _row_max),
    "row_squares": OpKind(3, ("start", "stop"), _row_squares),
    "norm_scale": OpKind(4, ("epsilon",), _norm_scale),
    "row_scale": OpKind(5, (), _row_scale),
    "quantise": OpKind(6, ("start", "stop", "bits"), _quantise),
    "linear": OpKind(7, ("rows", "columns", "bits", "fraction", "bias", "residual"), _linear, matrix=True),
    "rope_quantise": OpKind(8, ("heads", "head_dim"), _rope_quantise, every_position=True),
    "value_quantise": OpKind(9, ("heads", "head_dim"), _value_quantise),
    "value_layout": OpKind(10, ("heads", "head_dim"), _value_layout, every_position=True),
    "attention": OpKind(
        11,
        ("heads", "kv_heads", "head_dim", "block", "window", "scale"),
        _attention,
        every_position=True,
        sums_positions=True,
        cached=True,
    ),
    "silu_product": OpKind(12, ("width",), _silu_product),
    "sample_blocks": OpKind(13, ("vocab", "block"), _sample_blocks),
    "sample": OpKind(14, ("blocks",), _sample),
    "position_embed": OpKind(15, ("width", "shift"), _position_embed, every_position=True, gathered=True),
    "normalise": OpKind(16, ("groups", "size", "centred", "epsilon", "bias"), _normalise),
    "gelu": OpKind(17, ("width",), _gelu),
    "row_layout": OpKind(18, ("width",), _row_layout, every_position=True),
    "prefix_mean": OpKind(19, ("width",), _prefix_mean, every_position=True, sums_positions=True),
    "route": OpKind(20, ("experts", "slots"), _route),
    "expert_linear": OpKind(
        21,
        ("rows", "columns", "bits", "fraction", "experts", "slots", "slot", "combine"),
        _expert_linear,
        matrix=True,
        gathered=True,
    ),
}
