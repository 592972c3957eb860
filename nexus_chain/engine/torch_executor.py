"""Runs a segment's op list with torch alone: the path for accelerators and for machines without a C compiler.

Everything stays on the device of the weights. Vectorised but unfused, with the same bits as the
compiled kernels, which are checked against it before they are trusted. One function per op kind;
formulas in ``nexus_chain/program/OPERATORS.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nexus_chain.engine.cache import Batch, SequenceRows
from nexus_chain.engine.products import Product, exact_product
from nexus_chain.program import SAMPLED, Op
from nexus_chain.program import primitives as fx
from nexus_chain.program.descriptors import BOTH_DIRECTIONS
from nexus_chain.program.model import read_weight
from nexus_chain.program.op_kinds import KINDS, PerKind

QUERY_ROWS = 64  # positions attended together: bounds the temporary scores
FLOAT_EXACT = 1 << 24  # integers up to here are exact in float32


@dataclass(frozen=True)
class Call:
    """One op with its operands."""

    op: Op
    inputs: list[Tensor]
    weights: list[Tensor]
    batch: Batch
    product: Product

    def param(self, name: str) -> int:
        return self.op.params[name]


Operator = Callable[[Call], tuple[Tensor, ...]]
_operator: PerKind[Operator] = PerKind("the torch executor")


class TorchExecutor:
    """``run`` maps the segment's input rows to the tensors named in ``keep``.

    ``product`` defaults to the exact product of the CPU.
    """

    def __init__(
        self, ops: Sequence[Op], weights: Mapping[str, Tensor], keep: Collection[str], product: Product | None = None
    ) -> None:
        self._ops, self._keep = tuple(ops), frozenset(keep)
        self._weights = {name: read_weight(name, weights[name]) for op in ops for name in op.weights}
        self._product = product or exact_product()
        self._attention = {op.name: n for n, op in enumerate(o for o in ops if KINDS[o.kind].cached)}
        self._last_use = {name: number for number, op in enumerate(ops) for name in op.inputs}
        self._sampled = {s.name for op in ops for s in op.outputs if SAMPLED in s.shape}

    def run(self, rows: Tensor, batch: Batch) -> dict[str, Tensor]:
        """``rows`` i32[rows] or i32[rows, width]; appends to the caches of the batch's sequences."""
        live = {self._ops[0].inputs[0]: rows}
        for number, op in enumerate(self._ops):
            inputs = [self._operand(op, name, live[name], batch) for name in op.inputs]
            call = Call(op, inputs, [self._weights[name] for name in op.weights], batch, self._product)
            results = self._attend(call) if op.kind == "attention" else OPERATORS[op.kind](call)
            live.update({spec.name: result for spec, result in zip(op.outputs, results, strict=True)})
            for name in set(op.inputs) - self._keep:
                if self._last_use[name] == number:
                    del live[name]
        return {name: live[name] for name in self._keep}

    def _operand(self, op: Op, name: str, tensor: Tensor, batch: Batch) -> Tensor:
        """Ops over sampled positions read only those rows of tensors over all positions."""
        if SAMPLED in op.outputs[0].shape and name not in self._sampled:
            return tensor[batch.sampled_rows]
        return tensor

    def _attend(self, call: Call) -> tuple[Tensor, ...]:
        number = self._attention[call.op.name]
        mixed = [_attend_sequence(call, part, number) for part in call.batch.sequences]
        return (torch.cat(mixed),)


@_operator
def _embed(call: Call) -> tuple[Tensor, ...]:
    tokens = call.inputs[0].to(torch.int64).clamp(0, call.param("vocab") - 1)
    rows = call.weights[0][tokens].to(torch.int64) << call.param("shift")
    return (fx.sat(rows).to(torch.int32),)


def _rows(call: Call, number: int) -> Tensor:
    """Input ``number``, an i32 tensor of rows, as every op reads it; int64."""
    return fx.sat(call.inputs[number].to(torch.int64))


def _maxima(call: Call, number: int) -> Tensor:
    return fx.read_maximum(call.inputs[number].to(torch.int64))


def _columns(call: Call) -> Tensor:
    return fx.sat(call.inputs[0][:, call.param("start") : call.param("stop")].to(torch.int64))


@_operator
def _row_max(call: Call) -> tuple[Tensor, ...]:
    return (_columns(call).abs().amax(dim=1).clamp(min=1).to(torch.int32),)


@_operator
def _row_squares(call: Call) -> tuple[Tensor, ...]:
    largest = _maxima(call, 1)[:, None]
    reduced = torch.minimum(torch.maximum(_columns(call), -largest), largest) >> fx.square_shift(largest)
    return ((reduced * reduced).sum(dim=1),)


@_operator
def _norm_scale(call: Call) -> tuple[Tensor, ...]:
    m, e = fx.norm_scale(_maxima(call, 0), call.inputs[1].clamp(0, fx.SQUARES_MAX), call.param("epsilon"))
    return m.to(torch.int32), e.to(torch.int32)


@_operator
def _row_scale(call: Call) -> tuple[Tensor, ...]:
    m, e = fx.scale16(_maxima(call, 0))
    return m.to(torch.int32), e.to(torch.int32)


@_operator
def _quantise(call: Call) -> tuple[Tensor, ...]:
    bits = call.param("bits")
    q = fx.quantise(_columns(call), _maxima(call, 1)[:, None], fx.LEVELS[bits])
    if bits == 15:
        q = torch.stack(fx.planes(q), dim=1)
    return (q.to(torch.int8),)


def _matrix_product(call: Call, chosen: Tensor | slice, weight: Tensor, scale: Tensor) -> Tensor:
    """Saturated product of the ``chosen`` rows with one matrix, before bias and residual; int64[R, N]."""
    q, m, e = (operand[chosen] for operand in call.inputs[:3])
    scale = scale.to(torch.int64)
    total = call.product(q.reshape(-1, q.shape[-1]), weight).to(torch.int64)
    if call.param("bits") == 15:
        total = 128 * total[0::2] + total[1::2]
    shift = -(fx.read_exponent(e).to(torch.int64)[:, None] + scale[:, 1] + call.param("fraction") + 12)
    return fx.sat(fx.rs(fx.rs(total * fx.read_mantissa(m)[:, None], 12) * scale[:, 0], shift))


@_operator
def _linear(call: Call) -> tuple[Tensor, ...]:
    y = _matrix_product(call, slice(None), call.weights[0], call.weights[1])
    if call.param("bias"):
        y = fx.sat(y + fx.sat(call.weights[2].to(torch.int64)))
    if call.param("residual"):
        y = fx.sat(y + _rows(call, 3))
    return (y.to(torch.int32),)


def _by_head(call: Call) -> Tensor:
    return _rows(call, 0).view(-1, call.param("heads"), call.param("head_dim"))


@_operator
def _rope_quantise(call: Call) -> tuple[Tensor, ...]:
    half = call.param("head_dim") // 2
    wave = call.weights[0][call.batch.positions.to(torch.int64)].to(torch.int64)[:, None, :]
    cosine, sine = wave[..., :half], wave[..., half:]
    rows = _by_head(call)
    a, b = rows[..., :half], rows[..., half:]
    turned = torch.cat([a * cosine - b * sine, b * cosine + a * sine], dim=-1)
    turned = fx.sat(fx.rs(turned, 15))
    largest = turned.abs().amax(dim=-1).clamp(min=1)
    m, e = fx.scale16(largest)
    q = fx.quantise(turned, largest[..., None], 127)
    return q.to(torch.int8), largest.to(torch.int32), m.to(torch.int32), e.to(torch.int32)


@_operator
def _value_quantise(call: Call) -> tuple[Tensor, ...]:
    rows = _by_head(call)
    largest = rows.abs().amax(dim=-1).clamp(min=1)
    return fx.quantise(rows, largest[..., None], 127).to(torch.int8), largest.to(torch.int32)


@_operator
def _value_layout(call: Call) -> tuple[Tensor, ...]:
    return call.inputs[0].permute(1, 2, 0).contiguous(), call.inputs[1].t().contiguous()


@_operator
def _silu_product(call: Call) -> tuple[Tensor, ...]:
    g, u = _rows(call, 0), _rows(call, 1)
    sigmoid = fx.sigmoid(g, call.weights[0].to(torch.int64))
    y = fx.rs(fx.rs(g * sigmoid, 23) * u, 12)
    return (fx.sat(y).to(torch.int32),)


@_operator
def _position_embed(call: Call) -> tuple[Tensor, ...]:
    placed = call.weights[0][call.batch.positions.to(torch.int64)].to(torch.int64) << call.param("shift")
    return (fx.sat(_rows(call, 0) + placed).to(torch.int32),)


@_operator
def _normalise(call: Call) -> tuple[Tensor, ...]:
    x, size = _rows(call, 0), call.param("size")
    y = x.view(len(x), call.param("groups"), size)
    if call.param("centred"):
        y = fx.sat(y - y.sum(dim=-1, keepdim=True) // size)
    largest = y.abs().amax(dim=-1, keepdim=True).clamp(min=1)
    squares = (y >> fx.square_shift(largest)).square().sum(dim=-1, keepdim=True)
    m, e = fx.norm_scale(largest, squares, call.param("epsilon"))
    y = fx.quantise(y, largest, fx.LEVELS[15])
    y = fx.sat(fx.rs(fx.rs(y * m, 12) * fx.sat(call.weights[0].to(torch.int64)), 6 - e))
    if call.param("bias"):
        y = fx.sat(y + fx.sat(call.weights[1].to(torch.int64)))
    return (y.to(torch.int32).view(x.shape),)


@_operator
def _gelu(call: Call) -> tuple[Tensor, ...]:
    return (fx.gelu(_rows(call, 0), call.weights[0].to(torch.int64)).to(torch.int32),)


@_operator
def _row_layout(call: Call) -> tuple[Tensor, ...]:
    return (call.inputs[0].t().contiguous(),)


@_operator
def _prefix_mean(call: Call) -> tuple[Tensor, ...]:
    columns = _rows(call, 0)
    parts = [columns[:, part.first : part.first + part.count].cumsum(dim=1) for part in call.batch.sequences]
    means = [part // torch.arange(1, part.shape[1] + 1, device=part.device) for part in parts]
    return (torch.cat(means, dim=1).t().to(torch.int32).contiguous(),)


def _attend_sequence(call: Call, part: SequenceRows, number: int) -> Tensor:
    """Append one sequence's new keys and values, scales as they are read, then attend; i32[count, H * D]."""
    rows, start, end = slice(part.first, part.first + part.count), part.state.length, part.state.length + part.count
    cache, (k, km, ke, values, magnitudes) = part.state.caches[number], call.inputs[3:]
    cache.keys[:, start:end] = k[rows].transpose(0, 1)
    cache.mantissas[:, start:end] = fx.read_mantissa(km[rows].t())
    cache.exponents[:, start:end] = fx.read_exponent(ke[rows].t())
    cache.values[:, :, start:end] = values[:, :, rows]
    cache.magnitudes[:, start:end] = fx.read_maximum(magnitudes[:, rows])
    pieces = []
    for first in range(part.first, part.first + part.count, QUERY_ROWS):
        count = min(QUERY_ROWS, part.first + part.count - first)
        pieces.append(_attend_rows(call, part, number, first, count))
    return torch.cat(pieces)


def _grouped(x: Tensor, groups: int) -> Tensor:
    """[T, H, ...] to [G, H/G * T, ...]: query heads beside the kv head they share."""
    by_group = x.view(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return by_group.movedim(0, 2).flatten(1, 2)


def _exact_matmul(a: Tensor, b: Tensor, largest: int) -> Tensor:
    """Integer product through floats wide enough for sums up to ``largest``; int64."""
    # Lower precisions (TF32, bfloat16 passes) are a global setting of torch, and anything but exact.
    exact = largest <= FLOAT_EXACT and torch.get_float32_matmul_precision() == "highest"
    dtype = torch.float32 if exact else torch.float64
    return torch.matmul(a.to(dtype), b.to(dtype)).to(torch.int64)


def _attend_rows(call: Call, part: SequenceRows, number: int, first: int, count: int) -> Tensor:
    heads, groups, size = call.param("heads"), call.param("kv_heads"), call.param("head_dim")
    cache, rows = part.state.caches[number], slice(first, first + count)
    window, reached = call.param("window"), first + count if call.param("window") >= 0 else part.first + part.count
    end = part.state.length + reached - part.first
    positions = call.batch.positions[rows].to(torch.int64).repeat(heads // groups)
    allowed = _allowed(positions, end, window)
    q, qm, qe = (_grouped(x[rows], groups) for x in call.inputs[:3])
    dots = _exact_matmul(q, cache.keys[:, :end].transpose(1, 2), 127 * 127 * size)
    qs = fx.rs(fx.read_mantissa(qm).to(torch.int64) * call.param("scale"), 16)
    shift = 11 - fx.read_exponent(qe).to(torch.int64)[..., None] - cache.exponents[:, None, :end].to(torch.int64)
    scores = fx.rs(dots * qs[..., None], 12) * cache.mantissas[:, None, :end].to(torch.int64)
    scores = fx.sat(fx.rs(scores, shift))
    top = scores.masked_fill(~allowed, -(1 << 62)).amax(dim=-1, keepdim=True)
    weights = fx.exp2n((top - scores).clamp(min=0), call.weights[0].to(torch.int64)) * allowed
    mixed = fx.sat(_mix(weights, cache.values[:, :, :end], cache.magnitudes[:, :end], call.param("block")))
    by_head = mixed.view(groups, heads // groups, count, size).movedim(2, 0)
    return by_head.reshape(count, heads * size).to(torch.int32)


def _allowed(positions: Tensor, end: int, window: int) -> Tensor:
    """bool[rows, end]: which keys each position may look at."""
    keys = torch.arange(end, device=positions.device)
    if window == BOTH_DIRECTIONS:
        return torch.ones(len(positions), end, dtype=torch.bool, device=positions.device)
    causal = keys <= positions[:, None]
    return causal & (keys > positions[:, None] - window) if window else causal


def _mix(weights: Tensor, values: Tensor, magnitudes: Tensor, block: int) -> Tensor:
    """Sum over blocks of positions of the rescaled weighted values; int64[G, rows, D]."""
    total = weights.sum(dim=-1).clamp(min=1)
    down_total = (fx.bit_length(total) - 31).clamp(min=0)
    mixed = torch.zeros(*total.shape, values.shape[1], dtype=torch.int64, device=total.device)
    for start in range(0, weights.shape[-1], block):
        columns = slice(start, min(start + block, weights.shape[-1]))
        w = weights[..., columns] * magnitudes[:, None, columns].to(torch.int64)
        largest = w.amax(dim=-1).clamp(min=1)
        down = (fx.bit_length(largest) - 31).clamp(min=0)
        q = fx.quantise(w >> down[..., None], (largest >> down)[..., None], fx.ATTENTION_LEVELS)
        sums = _exact_matmul(q, values[:, :, columns].transpose(1, 2), 1 << 31)
        m, e = fx.quotient16(largest >> down, total >> down_total)
        shift = 21 - (e + down - down_total)
        mixed += fx.rs(sums * m[..., None], shift[..., None])
    return mixed


def _sampling_keys(call: Call) -> Tensor:
    """What the argmax is taken of: the logits, or scaled logits plus noise; int64[n, V]."""
    logits_of = _rows(call, 0)[:, : call.param("vocab")]
    entries, table = torch.arange(call.param("vocab"), device=logits_of.device), call.weights[0].to(torch.int64)
    rows = []
    for logits, (beta, key0, key1) in zip(logits_of, call.batch.sampling.tolist(), strict=True):
        noisy = fx.sat(fx.rs(logits * beta, 12)) + fx.gumbel(entries, key0, key1, table) if beta else logits
        rows.append(noisy)
    return torch.stack(rows) if rows else torch.zeros(0, len(entries), dtype=torch.int64, device=logits_of.device)


@_operator
def _sample_blocks(call: Call) -> tuple[Tensor, ...]:
    vocab, block, keys = call.param("vocab"), call.param("block"), _sampling_keys(call)
    entries = torch.arange(vocab, device=keys.device)
    best, index = [], []
    for start in range(0, vocab, block):
        part = keys[:, start : start + block]
        largest = part.amax(dim=1, keepdim=True)
        best.append(largest)
        lowest = torch.where(part == largest, entries[start : start + block], vocab).amin(dim=1, keepdim=True)
        index.append(lowest.to(torch.int32))
    return torch.cat(best, dim=1), torch.cat(index, dim=1)


@_operator
def _sample(call: Call) -> tuple[Tensor, ...]:
    best, index = fx.read_best(call.inputs[0]), call.inputs[1]
    blocks = torch.arange(best.shape[1], device=best.device)
    chosen = torch.where(best == best.amax(dim=1, keepdim=True), blocks, len(blocks)).amin(dim=1)
    return (index.gather(1, chosen[:, None])[:, 0],)


@_operator
def _route(call: Call) -> tuple[Tensor, ...]:
    ordered, experts = torch.sort(_rows(call, 0), dim=1, descending=True, stable=True)
    top = ordered[:, : call.param("slots")]
    power = fx.exp2n(top[:, :1] - top, call.weights[0].to(torch.int64))
    total = power.sum(dim=1, keepdim=True).clamp(min=1)
    gate = ((power << 16) + (total >> 1)) // total
    return experts[:, : call.param("slots")].to(torch.int32), gate.to(torch.int32)


@_operator
def _expert_linear(call: Call) -> tuple[Tensor, ...]:
    slot = call.param("slot")
    expert = call.inputs[3][:, slot].clamp(0, call.param("experts") - 1)
    y = torch.empty(len(expert), call.param("rows"), dtype=torch.int64, device=expert.device)
    for number in sorted(set(expert.tolist())):
        rows = expert == number
        y[rows] = _matrix_product(call, rows, *call.weights[2 * number : 2 * number + 2])
    if call.param("combine"):
        gate = call.inputs[4][:, slot : slot + 1].to(torch.int64).clamp(0, fx.GATE_ONE)
        y = fx.sat(_rows(call, 5) + fx.rs(y * gate, 16))
    return (y.to(torch.int32),)


OPERATORS = _operator.complete(without={"attention"})
