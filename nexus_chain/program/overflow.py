"""Proof that no intermediate of a program leaves signed 64 bits, for all inputs in range.

Ranges are those of normalised reads (``OPERATORS.md``). So they hold for every bit pattern of every committed tensor
and weight, honest or not, and each op can be proven alone. There is one proof for each distinct (kind, parameters).
Nothing here looks at a weight's value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nexus_chain.program import fixed_point as fixed
from nexus_chain.program.descriptors import BOTH_DIRECTIONS, Op, Program
from nexus_chain.program.interval_proof import INT32, INT64, ProvenRange, Scope
from nexus_chain.program.op_kinds import KINDS, Params, PerKind
from nexus_chain.program.sampling import BETA_MAX

SAT = fixed.SATURATION
MANTISSA = fixed.MANTISSA_MAX
ROPE_MAX = 2**15
I8_MAX = 2**7
KEY_MAX = 2**40
NORM_SIZE_MAX = 8192  # columns of a normalised group: the contract re-checks one in one step

Proof = Callable[[Scope, Params], None]
_proof: PerKind[Proof] = PerKind("the proof against overflow")


@dataclass(frozen=True)
class OpProof:
    """What was proven about every op of one kind and one set of parameters."""

    kind: str
    params: tuple[tuple[str, int], ...]
    ops: tuple[str, ...]
    ranges: tuple[ProvenRange, ...]

    @property
    def bits(self) -> int:
        """Bits of the largest intermediate."""
        return max((proven.bits for proven in self.ranges), default=0)


@dataclass(frozen=True)
class OverflowReport:
    """The proofs that cover a program, one per distinct (kind, parameters)."""

    program: str
    proofs: tuple[OpProof, ...]

    @property
    def bits(self) -> int:
        """Bits of the largest intermediate of the program; at most 63."""
        return max(proof.bits for proof in self.proofs)


def prove_no_overflow(program: Program) -> OverflowReport:
    """Prove every op of a validated program; :class:`OverflowProofError` names the op and the intermediate."""
    groups: dict[tuple[str, tuple[tuple[str, int], ...]], list[str]] = {}
    for op in program.ops:
        groups.setdefault(_key(op, program), []).append(op.name)
    proofs = [
        OpProof(kind, params, tuple(names), _proven(kind, params, names[0])) for (kind, params), names in groups.items()
    ]
    return OverflowReport(program.name, tuple(proofs))


def _key(op: Op, program: Program) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Kind and parameters; sums over positions also depend on how many there can be."""
    extra = {"positions": program.shape.context} if KINDS[op.kind].sums_positions else {}
    return op.kind, tuple(sorted({**op.params, **extra}.items()))


@lru_cache(maxsize=4096)
def _proven(kind: str, params: tuple[tuple[str, int], ...], name: str) -> tuple[ProvenRange, ...]:
    scope = Scope(name)
    _PROOFS[kind](scope, dict(params))
    return tuple(scope.proven)


@_proof
def _embed(scope: Scope, params: Params) -> None:
    scope.require("its shift is outside [0, 15]", 0 <= params["shift"] <= 15)
    entry = scope.variable("entry", -(2**15), 2**15 - 1)
    largest = 2**15 << params["shift"]
    scope.claim("table entry << shift", entry * (1 << params["shift"]), -largest, largest)


def _columns(scope: Scope, params: Params) -> int:
    count = params["stop"] - params["start"]
    scope.require("its columns are not a range", params["start"] >= 0 and count >= 1)
    return count


@_proof
def _row_max(scope: Scope, params: Params) -> None:
    _columns(scope, params)
    scope.claim("|x|", scope.variable("|x|", 0, SAT), 0, SAT)


@_proof
def _row_squares(scope: Scope, params: Params) -> None:
    _squares(scope, _columns(scope, params))


def _squares(scope: Scope, count: int) -> None:
    """The sum of ``count`` squares ``(x >> h)^2`` of ``|x| <= A``, for every bit length of A."""
    for bits in range(1, 32):
        case = scope.branch()
        largest = case.variable("A", 1 << (bits - 1), (1 << bits) - 1)
        x = case.variable("x", -SAT, SAT)
        case.facts += [x <= largest, x >= -largest]
        case.claim("x >> h", case.floor("x >> h", x, 1 << max(0, bits - 23)), -(2**23), 2**23)
    shifted = scope.variable("x >> h", -(2**23), 2**23)
    scope.claim("(x >> h)^2", shifted * shifted, 0, 2**46)
    scope.total("sum of squares", 0, 2**46, count, (0, fixed.SQUARES_MAX))


@_proof
def _norm_scale(scope: Scope, params: Params) -> None:
    epsilon = params["epsilon"]
    scope.require("epsilon is outside [0, 2^60)", 0 <= epsilon < 2**60)
    squares, added = scope.variable("S", 0, fixed.SQUARES_MAX), scope.variable("epsilon >> 2h", 0, epsilon)
    scope.claim("S + (epsilon >> 2h)", squares + added, 0, fixed.SQUARES_MAX + epsilon, (0, 2**62 - 1))
    for bits in range(1, 63):
        case, up = scope.branch(), (62 - bits) & ~1
        total = case.variable("N", 1 << (bits - 1), (1 << bits) - 1)
        case.claim("N << 2t", total * (1 << up), 1 << (bits - 1 + up), (1 << 62) - 1)
    square, root = scope.variable("N << 2t", 2**60, 2**62 - 1), scope.variable("R", 0, 2**32)
    scope.facts += [root * root <= square, square < (root + 1) * (root + 1)]
    exact = scope.claim("R", root, 2**30, 2**31 - 1)
    scope.claim("(R + 1)^2", (exact + 1) * (exact + 1), 2**60, 2**62)
    _quotient16(scope)


def _quotient16(scope: Scope) -> None:
    """``q16`` of anything in [1, 2^31): both operands are first normalised to 31 bits."""
    a, b = scope.variable("a << na", 2**30, 2**31 - 1), scope.variable("b << nb", 2**30, 2**31 - 1)
    numerator = scope.claim("(a << na) << 16", a * 2**16, 2**46, 2**47 - 2**16)
    scope.claim("z", scope.floor("z", numerator, b), 2**15, 2**17 - 1)


@_proof
def _row_scale(scope: Scope, params: Params) -> None:
    scope.proven += _scale16_ranges()


@lru_cache
def _scale16_ranges() -> tuple[ProvenRange, ...]:
    """``scale16(A)`` for every bit length of A."""
    scope = Scope("scale16")
    for bits in range(1, 32):
        case = scope.branch()
        largest = case.variable("A", 1 << (bits - 1), (1 << bits) - 1)
        if bits <= 16:
            case.claim("A << (16 - b)", largest * (1 << (16 - bits)), 2**15, 2**16 - 1)
        else:
            half = 1 << (bits - 17)
            before = largest + half
            case.claim("A before its shift", before, 1 << (bits - 1), (1 << bits) - 1 + half)
            case.claim("rs(A, b - 16)", case.floor("m", before, 1 << (bits - 16)), 2**15, 2**16)
    return tuple(scope.proven)


@_proof
def _quantise(scope: Scope, params: Params) -> None:
    _columns(scope, params)
    scope.require("its width is neither 8 nor 15 bits", params["bits"] in fixed.LEVELS)
    _quantise_to(scope, fixed.LEVELS[params["bits"]])


def _quantise_to(scope: Scope, levels: int) -> None:
    """``Q(x, A, levels)``, proven once for all ops that use it."""
    scope.proven += _quantised_ranges(levels)


@lru_cache
def _quantised_ranges(levels: int) -> tuple[ProvenRange, ...]:
    """``Q(x, A, levels)`` for every bit length of A."""
    scope = Scope(f"quantise to {levels} levels")
    for bits in range(1, 32):
        case, one = scope.branch(), 1 << (16 + bits)
        largest = case.variable("A", 1 << (bits - 1), (1 << bits) - 1)
        case.claim("levels << (16 + b)", levels * one + 0 * largest, levels * one, levels * one)
        inverse, x = case.floor("inv", levels * one, largest), case.variable("x", -SAT, SAT)
        case.facts += [inverse >= 0, x <= largest, x >= -largest]
        case.claim("x * inv", x * inverse, -levels * one, levels * one)
        product = case.variable("x * inv", -levels * one, levels * one)
        half = one >> 1
        case.claim("x * inv + half", product + half, -levels * one + half, levels * one + half)
        case.claim("q", case.floor("q", product + half, one), -levels, levels)
    return tuple(scope.proven)


@_proof
def _linear(scope: Scope, params: Params) -> None:
    value = _matrix_product(scope, params)
    scope.claim("v + bias", value + scope.variable("bias", -SAT, SAT), -2 * SAT, 2 * SAT)
    scope.claim("residual + v", value + scope.variable("r", -SAT, SAT), -2 * SAT, 2 * SAT)


def _matrix_product(scope: Scope, params: Params) -> Any:
    """``linear`` before bias and residual; its saturated value."""
    scope.require("its width is neither 8 nor 15 bits", params["bits"] in fixed.LEVELS)
    scope.require("it has no rows or columns", params["rows"] >= 1 and params["columns"] >= 1)
    scope.require("its fraction is outside [0, 31]", 0 <= params["fraction"] <= 31)
    element, weight = scope.variable("q", -I8_MAX, I8_MAX), scope.variable("w", -I8_MAX, I8_MAX)
    scope.claim("q * w of one plane", element * weight, -(I8_MAX**2), I8_MAX**2)
    count = params["columns"]
    scope.total("sum of one plane", -(I8_MAX**2), I8_MAX**2, count, INT32)
    largest = I8_MAX**2 * count * (I8_MAX + 1 if params["bits"] == 15 else 1)
    sums = _joined_planes(scope, count, params["bits"], largest)
    _scaled(scope, sums, largest)
    return scope.variable("v", -SAT, SAT)


def _joined_planes(scope: Scope, count: int, bits: int, largest: int) -> Any:
    """The sum of a row: one plane, or 128 times the high plane plus the low one."""
    plane = I8_MAX**2 * count
    high, low = scope.variable("high", -plane, plane), scope.variable("low", -plane, plane)
    return scope.claim("acc", 128 * high + low if bits == 15 else low, -largest, largest)


def _scaled(scope: Scope, sums: Any, largest: int) -> None:
    """``rs(rs(acc * m, 12) * M, .)`` of ``|acc| <= largest``."""
    m, channel = scope.variable("m", 0, MANTISSA), scope.variable("M", 0, MANTISSA)
    product = scope.claim("acc * m", sums * m, -largest * MANTISSA, largest * MANTISSA)
    shifted = scope.rounded("rs(acc * m, 12)", product, largest * MANTISSA, 12)
    bound = ((largest * MANTISSA + 2**11) >> 12) * MANTISSA
    scaled = scope.claim("rs(acc * m, 12) * M", shifted * channel, -bound, bound)
    scope.rounded_by_any("value before saturation", scaled, bound)


@_proof
def _rope_quantise(scope: Scope, params: Params) -> None:
    scope.require("its head size is not even", params["head_dim"] >= 2 and params["head_dim"] % 2 == 0)
    a, b = scope.variable("a", -SAT, SAT), scope.variable("b", -SAT, SAT)
    cosine, sine = scope.variable("cos", -ROPE_MAX, ROPE_MAX), scope.variable("sin", -ROPE_MAX, ROPE_MAX)
    left = scope.claim("a * cos", a * cosine, -SAT * ROPE_MAX, SAT * ROPE_MAX)
    right = scope.claim("b * sin", b * sine, -SAT * ROPE_MAX, SAT * ROPE_MAX)
    largest = 2 * SAT * ROPE_MAX
    scope.rounded("rotated element", scope.claim("a * cos - b * sin", left - right, -largest, largest), largest, 15)
    _quantise_to(scope, fixed.LEVELS[8])
    _row_scale(scope, params)


@_proof
def _value_quantise(scope: Scope, params: Params) -> None:
    scope.require("it has no heads", params["heads"] >= 1 and params["head_dim"] >= 1)
    _quantise_to(scope, fixed.LEVELS[8])


@_proof
def _value_layout(scope: Scope, params: Params) -> None:
    scope.require("it has no heads", params["heads"] >= 1 and params["head_dim"] >= 1)


@_proof
def _attention(scope: Scope, params: Params) -> None:
    heads, groups = params["heads"], params["kv_heads"]
    scope.require("its heads do not divide into groups", groups >= 1 and heads >= groups and heads % groups == 0)
    scope.require("its block is not positive", params["block"] >= 1)
    scope.require("its window is neither positive, 0 nor -1", params["window"] >= BOTH_DIRECTIONS)
    scope.require("its scale is outside [0, 2^31)", 0 <= params["scale"] < 2**31)
    _attention_scores(scope, params["head_dim"], params["scale"])
    _exp2n(scope)
    _attention_weights(scope, params["positions"])
    _quantise_to(scope, fixed.ATTENTION_LEVELS)
    _quotient16(scope)
    _attention_blocks(scope, params["block"], params["positions"])


def _attention_scores(scope: Scope, size: int, scale: int) -> None:
    scope.total("q . k", -(I8_MAX**2), I8_MAX**2, size, INT32)
    largest = I8_MAX**2 * size
    sums, m = scope.variable("acc", -largest, largest), scope.variable("q_m", 0, MANTISSA)
    product = scope.claim("q_m * scale", m * scale, 0, MANTISSA * scale)
    scope.rounded("qs", product, MANTISSA * scale, 16)
    query = (MANTISSA * scale + 2**15) >> 16
    scaled = scope.claim("acc * qs", sums * scope.variable("qs", 0, query), -largest * query, largest * query)
    shifted = scope.rounded("rs(acc * qs, 12)", scaled, largest * query, 12)
    bound = ((largest * query + 2**11) >> 12) * MANTISSA
    score = scope.claim("score * k_m", shifted * scope.variable("k_m", 0, MANTISSA), -bound, bound)
    scope.rounded_by_any("score before saturation", score, bound)
    highest, other = scope.variable("X", -SAT, SAT), scope.variable("s", -SAT, SAT)
    scope.claim("X - s", highest - other, -2 * SAT, 2 * SAT)


def _exp2n(scope: Scope) -> None:
    case = scope.branch()
    here, following = (case.variable(name, 0, fixed.EXP2_ONE) for name in ("E[i]", "E[i+1]"))
    rest = case.variable("r", 0, 127)
    case.claim("(E[i] - E[i+1]) * r", (here - following) * rest, -127 * 2**23, 127 * 2**23)
    step = case.floor("step", (here - following) * rest + 64, 128)
    case.claim("2^-f", here - step, 0, fixed.EXP2_ONE)


def _attention_weights(scope: Scope, positions: int) -> None:
    scope.total("sum of p", 0, fixed.EXP2_ONE, positions)
    weight, largest = scope.variable("p", 0, fixed.EXP2_ONE), scope.variable("v_max", 1, SAT)
    scope.claim("p * v_max", weight * largest, 0, fixed.EXP2_ONE * SAT)
    for bits in range(1, (fixed.EXP2_ONE * SAT).bit_length() + 1):
        case = scope.branch()
        top = case.variable("WB", 1 << (bits - 1), (1 << bits) - 1)
        case.claim("WB >> kb", case.floor("WB >> kb", top, 1 << max(0, bits - 31)), 1, SAT)


def _attention_blocks(scope: Scope, block: int, positions: int) -> None:
    term = fixed.ATTENTION_LEVELS * I8_MAX
    scope.total("sum of u * v", -term, term, block, INT32)
    sums, m = scope.variable("B", -term * block, term * block), scope.variable("m", 0, MANTISSA)
    largest = term * block * MANTISSA
    product = scope.claim("B * m", sums * m, -largest, largest)
    scope.rounded_by_any("term of a block", product, largest)
    scope.total("sum of blocks", -largest, largest, -(-positions // block))


@_proof
def _silu_product(scope: Scope, params: Params) -> None:
    scope.require("it has no columns", params["width"] >= 1)
    magnitude = scope.variable("|g|", 0, SAT)
    product = scope.claim("|g| * log2(e)", magnitude * fixed.SILU_LOG2E, 0, SAT * fixed.SILU_LOG2E)
    scope.rounded("exponent", product, SAT * fixed.SILU_LOG2E, 11)
    _exp2n(scope)
    _sigmoid(scope)
    gate, sigma = scope.variable("g", -SAT, SAT), scope.variable("s", 0, fixed.EXP2_ONE)
    scaled = scope.claim("g * s", gate * sigma, -SAT * fixed.EXP2_ONE, SAT * fixed.EXP2_ONE)
    activated = scope.rounded("rs(g * s, 23)", scaled, SAT * fixed.EXP2_ONE, 23)
    product = scope.claim("activated * u", activated * scope.variable("u", -SAT, SAT), -SAT * SAT, SAT * SAT)
    scope.rounded("value before saturation", product, SAT * SAT, 12)


def _sigmoid(scope: Scope) -> None:
    case = scope.branch()
    power = case.variable("p", 0, fixed.EXP2_ONE)
    case.claim("p << 23", power * 2**23, 0, 2**46)
    case.claim("sigmoid of a negative", case.floor("s", power * 2**23, 2**23 + power), 0, fixed.EXP2_ONE)
    case.claim("sigmoid of a positive", case.floor("s", 2**46, 2**23 + power), 0, fixed.EXP2_ONE)


def _log2fix(scope: Scope, name: str, bits: int) -> None:
    """``log2fix`` of z in [1, 2^bits): between 0 and ``bits`` in Q24."""
    case = scope.branch()
    here, following = (case.variable(entry, 0, fixed.LOG2_ONE) for entry in ("U[i]", "U[i+1]"))
    rest = case.variable("r", 0, 65535)
    product = (following - here) * rest
    case.claim(f"{name}: (U[i+1] - U[i]) * r", product, -65535 * 2**24, 65535 * 2**24)
    mantissa = case.floor("mantissa", product, 65536)
    exponent = case.variable("b", 0, bits - 1)
    case.claim(name, exponent * 2**24 + here + mantissa, 0, bits << 24)


@_proof
def _sample_blocks(scope: Scope, params: Params) -> None:
    scope.require("it has no entries", params["vocab"] >= 1 and params["block"] >= 1)
    logit, beta = scope.variable("logit", -SAT, SAT), scope.variable("beta", 0, BETA_MAX)
    product = scope.claim("logit * beta", logit * beta, -SAT * BETA_MAX, SAT * BETA_MAX)
    scope.rounded("key before saturation", product, SAT * BETA_MAX, 12)
    word = scope.variable("x", 0, fixed.MASK32)
    for factor in (0x7FEB352D, 0x2C1B3C6D, 0x297A2D39):
        scope.claim(f"x * {factor:#x}", word * factor, 0, fixed.MASK32 * factor)
    scope.claim("x + k1", word + scope.variable("k1", 0, fixed.MASK32), 0, 2 * fixed.MASK32)
    _gumbel(scope)
    key, noise = scope.variable("key", -SAT, SAT), scope.variable("G", -(64 << 16), 64 << 16)
    scope.claim("key + G", key + noise, -SAT - (64 << 16), SAT + (64 << 16), (-KEY_MAX, KEY_MAX))


def _gumbel(scope: Scope) -> None:
    near, factor = scope.variable("d", 1, 2**26 - 1), 12102203
    product = scope.claim("d * log2(e)", near * factor, factor, (2**26 - 1) * factor)
    limit = ((2**26 - 1) * factor) >> 16
    first = scope.claim("b", scope.floor("b", product, 2**16), 0, limit)
    scope.claim("b * d", first * near, 0, limit * (2**26 - 1))
    _log2fix(scope, "log2 of the uniform", 33)
    gap = scope.variable("33 - log2", 0, 33 << 24)
    scope.claim("E", gap * 2**16, 0, 33 << 40)
    _log2fix(scope, "log2 of E", 46)
    level = scope.variable("log2 of E", 0, 46 << 24)
    scope.claim("G", scope.floor("G", (40 << 24) - level, 2**8), -(6 << 16), 40 << 16)


@_proof
def _sample(scope: Scope, params: Params) -> None:
    scope.require("it has no blocks", params["blocks"] >= 1)
    scope.claim("block maximum", scope.variable("block maximum", -KEY_MAX, KEY_MAX), -KEY_MAX, KEY_MAX, INT64)


@_proof
def _position_embed(scope: Scope, params: Params) -> None:
    _embed(scope, params)
    shifted = 2**15 << params["shift"]
    x, entry = scope.variable("x", -SAT, SAT), scope.variable("entry << shift", -shifted, shifted)
    scope.claim("x + (table entry << shift)", x + entry, -SAT - shifted, SAT + shifted)


@_proof
def _normalise(scope: Scope, params: Params) -> None:
    count = params["size"]
    scope.require("it has no groups", params["groups"] >= 1)
    scope.require(f"its groups are not 1 to {NORM_SIZE_MAX} wide", 1 <= count <= NORM_SIZE_MAX)
    scope.require("centred or bias is neither 0 nor 1", {params["centred"], params["bias"]} <= {0, 1})
    total = scope.total("sum of x", -SAT, SAT, count)
    mean = scope.claim("mu", scope.floor("mu", total, count), -SAT, SAT)
    scope.claim("x - mu", scope.variable("x", -SAT, SAT) - mean, -2 * SAT, 2 * SAT)
    _squares(scope, count)
    _norm_scale(scope, params)
    _quantise_to(scope, fixed.LEVELS[15])
    levels = fixed.LEVELS[15]
    product = scope.claim(
        "q * m", scope.variable("q", -levels, levels) * scope.variable("m", 0, MANTISSA), *_around(levels * MANTISSA)
    )
    shifted = scope.rounded("rs(q * m, 12)", product, levels * MANTISSA, 12)
    bound = ((levels * MANTISSA + 2**11) >> 12) * SAT
    gained = scope.claim("rs(q * m, 12) * gain", shifted * scope.variable("gain", -SAT, SAT), *_around(bound))
    scope.rounded_by_any("value before saturation", gained, bound)
    value = scope.variable("v", -SAT, SAT)
    scope.claim("v + bias", value + scope.variable("bias", -SAT, SAT), -2 * SAT, 2 * SAT)


def _around(largest: int) -> tuple[int, int]:
    return -largest, largest


@_proof
def _gelu(scope: Scope, params: Params) -> None:
    scope.require("it has no columns", params["width"] >= 1)
    case = scope.branch()
    here, following = (case.variable(name, 0, fixed.PHI_ONE) for name in ("P[i]", "P[i+1]"))
    rest = case.variable("r", 0, 63)
    case.claim("(P[i+1] - P[i]) * r", (following - here) * rest, *_around(63 * fixed.PHI_ONE))
    step = case.floor("step", (following - here) * rest + 32, 64)
    case.claim("p", here + step, 0, fixed.PHI_ONE)
    x, share = scope.variable("x", -SAT, SAT), scope.variable("p", 0, fixed.PHI_ONE)
    product = scope.claim("x * p", x * share, *_around(SAT * fixed.PHI_ONE))
    scope.rounded("value before saturation", product, SAT * fixed.PHI_ONE, 23)


@_proof
def _row_layout(scope: Scope, params: Params) -> None:
    scope.require("it has no columns", params["width"] >= 1)


@_proof
def _prefix_mean(scope: Scope, params: Params) -> None:
    scope.require("it has no columns", params["width"] >= 1)
    scope.total("sum of x", -SAT, SAT, params["positions"])
    total, count = scope.variable("sum of x", *_around(SAT * params["positions"])), scope.variable("t + 1", 1, 2**31)
    scope.facts += [total <= SAT * count, total >= -SAT * count]
    scope.claim("mean", scope.floor("mean", total, count), -SAT, SAT)


@_proof
def _route(scope: Scope, params: Params) -> None:
    slots = params["slots"]
    highest, other = scope.variable("L_0", -SAT, SAT), scope.variable("L_s", -SAT, SAT)
    scope.claim("L_0 - L_s", highest - other, -2 * SAT, 2 * SAT)
    _exp2n(scope)
    scope.total("sum of p", 0, fixed.EXP2_ONE, slots)
    total, power = scope.variable("Z", 1, slots * fixed.EXP2_ONE), scope.variable("p", 0, fixed.EXP2_ONE)
    half = scope.floor("Z >> 1", total, 2)
    scope.facts += [power <= total, half >= 0]  # Z is the sum of the p, or 1 if all of them are 0
    numerator = power * 2**16 + half
    limit = (fixed.EXP2_ONE << 16) + (slots * fixed.EXP2_ONE >> 1)
    scope.claim("(p << 16) + (Z >> 1)", numerator, 0, limit)
    scope.claim("gate", scope.floor("gate", numerator, total), 0, fixed.GATE_ONE)


@_proof
def _expert_linear(scope: Scope, params: Params) -> None:
    value, gate = _matrix_product(scope, params), scope.variable("gate", 0, fixed.GATE_ONE)
    largest = SAT * fixed.GATE_ONE
    weighted = scope.rounded("rs(v * gate, 16)", scope.claim("v * gate", value * gate, -largest, largest), largest, 16)
    scope.claim("residual + weighted", weighted + scope.variable("r", -SAT, SAT), -2 * SAT, 2 * SAT)


_PROOFS = _proof.complete()
