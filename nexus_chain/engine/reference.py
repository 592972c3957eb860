"""The reference executor: slow, plain, one position at a time, straight from the op list.

It defines what right means. Every op of every position is computed as ``OPERATORS.md`` writes it, with exact int64
sums. Its only cache is the list of all rows computed so far, which is also the trace. It shares fixed-point
primitives with the program package, and no kernel with the fast engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import torch
from torch import Tensor

from nexus_chain.engine.errors import ContextExceededError, InvalidRowsError
from nexus_chain.program import primitives as fixed
from nexus_chain.program.descriptors import BOTH_DIRECTIONS, POSITIONS, SAMPLED, Op, Program
from nexus_chain.program.op_kinds import PHI_NAME, PerKind
from nexus_chain.program.sampling import Sampling
from nexus_chain.program.torch_dtypes import TORCH_DTYPES

Rows = dict[str, list[Tensor]]


@dataclass
class ReferenceState:
    """One sequence in one segment: every row of every tensor so far, int64, by tensor name.

    ``length`` is the position being computed, ``entered`` counts those whose inputs are there.
    """

    prompt_length: int
    sampling: Sampling
    capacity: int
    rows: Rows = field(default_factory=dict)
    length: int = 0
    entered: int = 0

    def latest(self, name: str) -> Tensor:
        """The row of the position being computed; the last row of every tensor read belongs to the last one entered."""
        return self.rows[name][self.length - self.entered]


class ReferenceExecutor:
    """Runs layers ``[layer_start, layer_end)`` of a program, one position and one op at a time."""

    def __init__(
        self, program: Program, weights: Mapping[str, Tensor], layer_start: int = 0, layer_end: int | None = None
    ) -> None:
        end = program.shape.layers if layer_end is None else layer_end
        self.program = program
        self.is_first = layer_start == 0
        self.is_last = end == program.shape.layers
        self._ops = program.segment(layer_start, end)
        self._input = program.input_of(layer_start, end)
        self._output = program.output_of(layer_start, end)
        self._weights = {spec.name: _read_weight(spec.name, weights) for spec in program.weights_of(layer_start, end)}

    def open(self, prompt_length: int, sampling: Sampling, capacity: int) -> ReferenceState:
        """A new sequence of at most ``capacity`` positions, the first ``prompt_length`` of them given."""
        if not 1 <= prompt_length <= capacity <= self.program.shape.context:
            raise ContextExceededError(
                f"A prompt of {prompt_length} tokens and {capacity} positions do not fit a context of "
                f"{self.program.shape.context}",
                advice="Shorten the prompt or ask for fewer tokens.",
            )
        return ReferenceState(prompt_length, sampling, capacity)

    def forward(self, batch: Sequence[tuple[ReferenceState, Tensor]]) -> list[Tensor]:
        """Advance each sequence by its rows.

        Rows are tokens i32[t] in the first segment, else residual rows i32[t, d]. Each result holds
        residual rows i32[t, d], or in the last segment the tokens i32[n] sampled at these positions.
        """
        return [self._advance(state, rows) for state, rows in batch]

    def trace(self, state: ReferenceState) -> dict[str, Tensor]:
        """Every op output of a sequence so far, by name, with its declared type and full shape."""
        return {spec.name: self._stack(state, spec.name, 0) for op in self._ops for spec in op.outputs}

    def run(self, rows: Tensor, prompt_length: int, sampling: Sampling) -> dict[str, Tensor]:
        """Trace of a whole sequence fed at once."""
        state = self.open(prompt_length, sampling, rows.shape[0])
        self.forward([(state, rows)])
        return self.trace(state)

    def _advance(self, state: ReferenceState, rows: Tensor) -> Tensor:
        self._check_rows(state, rows)
        before = len(state.rows.get(self._output, []))
        for entering in [rows] if self.program.is_encoder else torch.split(rows, 1):
            state.rows.setdefault(self._input, []).extend(entering.to(torch.int64))
            state.entered += len(entering)
            for op in self._ops:
                self._compute(op, state)
            state.length = state.entered
        return self._stack(state, self._output, before)

    def _compute(self, op: Op, state: ReferenceState) -> None:
        """The rows of ``op`` at every position entered and not yet computed."""
        weights = [self._weights[name] for name in op.weights]
        start = state.length
        for position in range(start, state.entered):
            state.length = position
            if self._runs_here(op, state):
                for spec, value in zip(op.outputs, _OPERATORS[op.kind](op, state, weights), strict=True):
                    state.rows.setdefault(spec.name, []).append(value)
        state.length = start

    @staticmethod
    def _runs_here(op: Op, state: ReferenceState) -> bool:
        """Ops with sampled rows run from the last prompt position on."""
        return SAMPLED not in op.outputs[0].shape or state.length >= state.prompt_length - 1

    def _check_rows(self, state: ReferenceState, rows: Tensor) -> None:
        expected = self.program.tensors[self._input].resolve(rows.shape[0], 0)
        if rows.dtype != torch.int32 or tuple(rows.shape) != expected:
            raise InvalidRowsError(
                f"Rows of {self._input} are int32 {expected}, not {rows.dtype} {tuple(rows.shape)}",
                advice="Feed the rows that the previous segment returned.",
            )
        if self.program.is_encoder and state.length:
            raise InvalidRowsError.second_entry(state.length)
        if state.length + rows.shape[0] > state.capacity:
            raise ContextExceededError(
                f"{state.length} + {rows.shape[0]} positions exceed the capacity of {state.capacity}",
                advice="Open the sequence with a larger capacity.",
            )

    def _stack(self, state: ReferenceState, name: str, start: int) -> Tensor:
        """Rows from ``start`` on as one tensor, the sequence dimension where the spec has it."""
        spec = self.program.tensors[name]
        rows = state.rows.get(name, [])[start:]
        axis = next(index for index, size in enumerate(spec.shape) if size in (POSITIONS, SAMPLED))
        if not rows:
            return torch.empty(spec.resolve(0, 0), dtype=TORCH_DTYPES[spec.dtype])
        return torch.stack(rows, dim=axis).to(TORCH_DTYPES[spec.dtype])


def evaluate_row(
    op: Op, rows: Rows, position: int, sequence: tuple[int, Sampling], weights: Mapping[str, Tensor]
) -> tuple[Tensor, ...]:
    """The row of every output of ``op`` at ``position``, from the rows [0, position] of its inputs.

    ``rows`` are int64, any bit pattern of their type; the last of each list belongs to ``position`` (to
    the last position of all for an attention in both directions); ``sequence`` is (prompt length, sampling).
    """
    entered = len(rows[op.inputs[0]]) if op.params.get("window") == BOTH_DIRECTIONS else position + 1
    state = ReferenceState(*sequence, capacity=entered, rows=rows, length=position, entered=entered)
    return _OPERATORS[op.kind](op, state, [_read_weight(name, weights) for name in op.weights])


def _read_weight(name: str, weights: Mapping[str, Tensor]) -> Tensor:
    """A weight as int64, normalised as ``OPERATORS.md`` says."""
    wide = weights[name].to(torch.int64)
    if name.endswith(".scale"):
        return torch.stack([fixed.read_mantissa(wide[:, 0]), fixed.read_exponent(wide[:, 1])], dim=1)
    if name == "tables.exp2":
        return wide.clamp(0, fixed.EXP2_ONE)
    if name == "tables.log2":
        return wide.clamp(0, fixed.LOG2_ONE)
    if name == PHI_NAME:
        return wide.clamp(0, fixed.PHI_ONE)
    return fixed.sat(wide)


def _row_maximum(row: Tensor) -> Tensor:
    """``max(1, max |x|)`` over the last dimension."""
    return row.abs().amax(dim=-1).clamp(min=1)


RowOperator = Callable[[Op, ReferenceState, list[Tensor]], tuple[Tensor, ...]]
_operator: PerKind[RowOperator] = PerKind("the reference executor")


@_operator
def _embed(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    token = int(state.latest(op.inputs[0]).clamp(0, op.params["vocab"] - 1))
    return (fixed.sat(weights[0][token] << op.params["shift"]),)


def _columns(op: Op, state: ReferenceState) -> Tensor:
    return fixed.sat(state.latest(op.inputs[0]))[op.params["start"] : op.params["stop"]]


@_operator
def _row_max(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    return (_row_maximum(_columns(op, state)),)


@_operator
def _row_squares(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    largest = fixed.read_maximum(state.latest(op.inputs[1]))
    inside = torch.minimum(torch.maximum(_columns(op, state), -largest), largest)
    return ((inside >> fixed.square_shift(largest)).square().sum(),)


@_operator
def _norm_scale(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    largest = fixed.read_maximum(state.latest(op.inputs[0]))
    squares = state.latest(op.inputs[1]).clamp(0, fixed.SQUARES_MAX)
    return fixed.norm_scale(largest, squares, op.params["epsilon"])


@_operator
def _row_scale(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    return fixed.scale16(fixed.read_maximum(state.latest(op.inputs[0])))


@_operator
def _quantise(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    bits = op.params["bits"]
    q = fixed.quantise(_columns(op, state), fixed.read_maximum(state.latest(op.inputs[1])), fixed.LEVELS[bits])
    return (torch.stack(fixed.planes(q)) if bits == 15 else q,)


def _product(op: Op, state: ReferenceState, weight: Tensor, scale: Tensor) -> Tensor:
    """Saturated product of the quantised row with ``weight`` [N, K], before bias and residual; i64[N]."""
    q, m, e = (state.latest(name) for name in op.inputs[:3])
    row = 128 * q[0] + q[1] if op.params["bits"] == 15 else q
    sums = (weight * row).sum(dim=1)
    mantissas, exponents = scale.unbind(dim=1)
    shift = -(fixed.read_exponent(e) + exponents + op.params["fraction"] + 12)
    return fixed.sat(fixed.rs(fixed.rs(sums * fixed.read_mantissa(m), 12) * mantissas, shift))


@_operator
def _linear(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    value = _product(op, state, weights[0], weights[1])
    if op.params["bias"]:
        value = fixed.sat(value + weights[2])
    if op.params["residual"]:
        value = fixed.sat(fixed.sat(state.latest(op.inputs[3])) + value)
    return (value,)


@_operator
def _rope_quantise(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    heads, half = op.params["heads"], op.params["head_dim"] // 2
    y = fixed.sat(state.latest(op.inputs[0])).reshape(heads, 2, half)
    cosine, sine = weights[0][state.length].reshape(2, half)
    first = fixed.sat(fixed.rs(y[:, 0] * cosine - y[:, 1] * sine, 15))
    second = fixed.sat(fixed.rs(y[:, 1] * cosine + y[:, 0] * sine, 15))
    rotated = torch.cat([first, second], dim=1)
    largest = _row_maximum(rotated)
    q = fixed.quantise(rotated, largest[:, None], fixed.LEVELS[8])
    return q, largest, *fixed.scale16(largest)


@_operator
def _value_quantise(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    rows = fixed.sat(state.latest(op.inputs[0])).reshape(op.params["heads"], op.params["head_dim"])
    largest = _row_maximum(rows)
    return fixed.quantise(rows, largest[:, None], fixed.LEVELS[8]), largest


@_operator
def _value_layout(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    """Rows are kept per position; stacking them along the last dimension makes the transposed copy."""
    return state.latest(op.inputs[0]), state.latest(op.inputs[1])


@_operator
def _attention(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    window, position = op.params["window"], state.length
    start = max(0, position - window + 1) if window > 0 else 0
    stop = state.entered if window == BOTH_DIRECTIONS else position + 1
    group = op.params["heads"] // op.params["kv_heads"]
    q, q_m, q_e = (state.latest(name) for name in op.inputs[:3])
    history = [torch.stack(state.rows[name][start:stop]) for name in op.inputs[3:]]
    heads = []
    for head in range(op.params["heads"]):
        k, k_m, k_e, v, v_max = (tensor[:, head // group] for tensor in history)
        scores = _scores(op, (q[head], q_m[head], q_e[head]), k, k_m, k_e)
        weight = fixed.exp2n(scores.max() - scores, weights[0])
        heads.append(_mix_blocks(weight, v, fixed.read_maximum(v_max), start, op.params["block"]))
    return (torch.cat(heads),)


def _scores(op: Op, query: tuple[Tensor, Tensor, Tensor], k: Tensor, k_m: Tensor, k_e: Tensor) -> Tensor:
    """Scores of one query head against keys i64[J, D], in log2 units, Q15; i64[J]."""
    q, m, e = query
    sums = (k * q).sum(dim=1)
    scale = fixed.rs(fixed.read_mantissa(m) * op.params["scale"], 16)
    shift = 11 - fixed.read_exponent(e) - fixed.read_exponent(k_e)
    return fixed.sat(fixed.rs(fixed.rs(sums * scale, 12) * fixed.read_mantissa(k_m), shift))


def _mix_blocks(weight: Tensor, v: Tensor, v_max: Tensor, start: int, block: int) -> Tensor:
    """Weighted mean of values i64[J, D] of positions ``start`` onwards, block by block; i64[D]."""
    total = weight.sum().clamp(min=1)
    total_shift = (fixed.bit_length(total) - 31).clamp(min=0)
    blocks = torch.arange(start, start + len(weight)) // block
    result = torch.zeros(v.shape[1], dtype=torch.int64)
    for number in range(int(blocks[0]), int(blocks[-1]) + 1):
        inside = blocks == number
        products = weight[inside] * v_max[inside]
        largest = products.max().clamp(min=1)
        shift = (fixed.bit_length(largest) - 31).clamp(min=0)
        units = fixed.quantise(products >> shift, largest >> shift, fixed.ATTENTION_LEVELS)
        sums = (units[:, None] * v[inside]).sum(dim=0)
        m, e = fixed.quotient16(largest >> shift, total >> total_shift)
        result = result + fixed.rs(sums * m, 21 - (e + shift - total_shift))
    return fixed.sat(result)


@_operator
def _silu_product(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    gate, up = (fixed.sat(state.latest(name)) for name in op.inputs)
    activated = fixed.rs(gate * fixed.sigmoid(gate, weights[0]), 23)
    return (fixed.sat(fixed.rs(activated * up, 12)),)


@_operator
def _sample_blocks(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    keys = fixed.sat(state.latest(op.inputs[0])[: op.params["vocab"]])
    if state.sampling.beta:
        noise = fixed.gumbel(torch.arange(len(keys)), *_noise_keys(state), weights[0])
        keys = fixed.sat(fixed.rs(keys * state.sampling.beta, 12)) + noise
    blocks = [_first_largest(block) for block in torch.split(keys, op.params["block"])]
    best = torch.stack([value for value, _ in blocks])
    return best, torch.tensor([index + number * op.params["block"] for number, (_, index) in enumerate(blocks)])


def _noise_keys(state: ReferenceState) -> tuple[int, int]:
    position = state.length.to_bytes(8, "big")
    digest = sha256(b"nexus.gumbel.v1" + state.sampling.seed + position).digest()
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")


def _first_largest(values: Tensor) -> tuple[Tensor, int]:
    largest = values.max()
    return largest, int((values == largest).nonzero()[0])


@_operator
def _sample(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    best = fixed.read_best(state.latest(op.inputs[0]))
    return (state.latest(op.inputs[1])[_first_largest(best)[1]],)


@_operator
def _position_embed(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    x = fixed.sat(state.latest(op.inputs[0]))
    return (fixed.sat(x + (weights[0][state.length] << op.params["shift"])),)


@_operator
def _normalise(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    groups, size = op.params["groups"], op.params["size"]
    rows = fixed.sat(state.latest(op.inputs[0])).reshape(groups, size)
    if op.params["centred"]:
        rows = fixed.sat(rows - rows.sum(dim=1, keepdim=True) // size)
    largest = _row_maximum(rows)
    squares = (rows >> fixed.square_shift(largest)[:, None]).square().sum(dim=1)
    m, e = fixed.norm_scale(largest, squares, op.params["epsilon"])
    q = fixed.quantise(rows, largest[:, None], fixed.LEVELS[15])
    value = fixed.sat(fixed.rs(fixed.rs(q * m[:, None], 12) * weights[0], 6 - e[:, None]))
    if op.params["bias"]:
        value = fixed.sat(value + weights[1])
    return (value.flatten(),)


@_operator
def _gelu(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    return (fixed.gelu(fixed.sat(state.latest(op.inputs[0])), weights[0]),)


@_operator
def _row_layout(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    """As in ``value_layout``, stacking rows along the last dimension makes the transposed copy."""
    return (state.latest(op.inputs[0]),)


@_operator
def _prefix_mean(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    count = state.length + 1
    return (fixed.sat(torch.stack(state.rows[op.inputs[0]][:count])).sum(dim=0) // count,)


@_operator
def _route(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    logits = fixed.sat(state.latest(op.inputs[0]))
    chosen: list[int] = []
    for _ in range(op.params["slots"]):
        left = [expert for expert in range(op.params["experts"]) if expert not in chosen]
        chosen.append(left[_first_largest(logits[left])[1]])
    power = fixed.exp2n(logits[chosen[0]] - logits[chosen], weights[0])
    total = power.sum().clamp(min=1)
    return torch.tensor(chosen), ((power << 16) + (total >> 1)) // total


@_operator
def _expert_linear(op: Op, state: ReferenceState, weights: list[Tensor]) -> tuple[Tensor, ...]:
    slot = op.params["slot"]
    expert = int(state.latest(op.inputs[3])[slot].clamp(0, op.params["experts"] - 1))
    value = _product(op, state, *weights[2 * expert : 2 * expert + 2])
    if op.params["combine"]:
        gate = state.latest(op.inputs[4])[slot].clamp(0, fixed.GATE_ONE)
        value = fixed.sat(fixed.sat(state.latest(op.inputs[5])) + fixed.rs(value * gate, 16))
    return (value,)


_OPERATORS = _operator.complete()
