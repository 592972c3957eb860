"""Every primitive against its definition in unbounded Python integers, at random and at the edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.program import primitives as fixed
from nexus_chain.program.tables import exp2_table, log2_table, phi_table

SAT = 2**31 - 1
EXP2 = exp2_table().to(torch.int64)
LOG2 = log2_table().to(torch.int64)
PHI = phi_table().to(torch.int64)

any64 = st.integers(-(2**61), 2**61)
positive31 = st.one_of(st.integers(1, SAT), st.integers(0, 30).map(lambda n: 1 << n), st.just(SAT))
levels = st.sampled_from([127, 16383, 16256])


def one(value: int) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.int64)


def floor_shift(value: int, shift: int) -> int:
    return math.floor(Fraction(value, 2**shift))


@given(any64, st.integers(-5, 70))
def test_rs_rounds_halves_up_and_clamps_its_shift(x: int, shift: int) -> None:
    amount = min(max(shift, 1), 62)
    assert int(fixed.rs(one(x), shift)) == math.floor(Fraction(x, 2**amount) + Fraction(1, 2))
    assert int(fixed.rs(one(x), one(shift))) == math.floor(Fraction(x, 2**amount) + Fraction(1, 2))


@pytest.mark.parametrize(("x", "shift", "expected"), [(1, 1, 1), (-1, 1, 0), (-3, 1, -1), (3, 1, 2), (-2, 2, 0)])
def test_rs_of_halves(x: int, shift: int, expected: int) -> None:
    assert int(fixed.rs(one(x), shift)) == expected


@given(any64)
def test_sat_clamps_symmetrically(x: int) -> None:
    assert int(fixed.sat(one(x))) == max(-SAT, min(SAT, x))


@given(st.one_of(st.integers(0, 2**63 - 1), st.integers(0, 62).map(lambda n: (1 << n) - 1)))
def test_bit_length_is_python_s(x: int) -> None:
    assert int(fixed.bit_length(one(x))) == x.bit_length()


def test_bit_length_at_every_power_of_two() -> None:
    values = [0] + [(1 << n) + d for n in range(63) for d in (-1, 0, 1) if 0 <= (1 << n) + d < 2**63]
    assert fixed.bit_length(torch.tensor(values)).tolist() == [value.bit_length() for value in values]


@given(st.integers(0, 2**62 - 1))
def test_isqrt_is_exact(x: int) -> None:
    assert int(fixed.isqrt(one(x))) == math.isqrt(x)


@given(st.integers(0, 2**31 - 1), st.integers(-2, 2))
def test_isqrt_is_exact_beside_squares(root: int, offset: int) -> None:
    x = min(max(root * root + offset, 0), 2**62 - 1)
    assert int(fixed.isqrt(one(x))) == math.isqrt(x)


@given(st.integers(-SAT, SAT), positive31, levels)
def test_quantise_follows_its_formula_and_stays_within_levels(x: int, largest: int, level: int) -> None:
    x = max(-largest, min(largest, x))
    bits = largest.bit_length()
    inverse = (level << (16 + bits)) // largest
    expected = floor_shift(x * inverse + (1 << (15 + bits)), 16 + bits)
    assert int(fixed.quantise(one(x), one(largest), level)) == expected
    assert abs(expected) <= level
    assert abs(expected - Fraction(x * level, largest)) <= Fraction(1, 2) + Fraction(1, 2**15)


@given(positive31, levels)
def test_quantise_reaches_both_ends_and_clamps_beyond(largest: int, level: int) -> None:
    ends = torch.tensor([largest, -largest, SAT, -SAT])
    assert fixed.quantise(ends, one(largest), level).tolist() == [level, -level, level, -level]


@given(positive31, positive31)
def test_quotient16_is_just_below_the_quotient(a: int, b: int) -> None:
    m, e = (int(part) for part in fixed.quotient16(one(a), one(b)))
    below, exact = Fraction(m) * Fraction(2) ** e, Fraction(a, b)
    assert 2**15 <= m < 2**16
    assert below <= exact < below * (1 + Fraction(1, 2**15))


@given(positive31)
def test_scale16_is_the_nearest_sixteen_bit_number(a: int) -> None:
    m, e = (int(part) for part in fixed.scale16(one(a)))
    value = Fraction(m) * Fraction(2) ** e
    assert 2**15 <= m < 2**16
    assert abs(value - a) <= Fraction(2) ** e / 2
    if a < 2**16:
        assert value == a


def exp2n_by_definition(x: int) -> int:
    table, fraction = EXP2.tolist(), x % 32768
    index, rest = divmod(fraction, 128)
    step = math.floor(Fraction((table[index] - table[index + 1]) * rest, 128) + Fraction(1, 2))
    return floor_shift(table[index] - step, min(x // 32768, 24))


@given(st.integers(0, 2**32))
def test_exp2n_follows_its_formula(x: int) -> None:
    assert int(fixed.exp2n(one(x), EXP2)) == exp2n_by_definition(x)


def test_exp2n_falls_from_one_to_zero_close_to_the_power() -> None:
    x = torch.arange(0, 26 << 15, 37)
    values = fixed.exp2n(x, EXP2)
    assert int(values[0]) == 2**23
    assert int(fixed.exp2n(one(24 << 15), EXP2)) == 0
    assert bool((values[1:] <= values[:-1]).all())
    assert float((values / 2.0**23 - torch.exp2(-x / 2.0**15)).abs().max()) < 1e-5


@given(st.integers(1, 2**62 - 1))
def test_log2fix_is_close_to_the_logarithm(z: int) -> None:
    assert abs(int(fixed.log2fix(one(z), LOG2)) / 2**24 - math.log2(z)) < 3e-6


@pytest.mark.parametrize("power", range(62))
def test_log2fix_of_powers_of_two_is_exact(power: int) -> None:
    assert int(fixed.log2fix(one(1 << power), LOG2)) == power << 24


@given(st.integers(-SAT, SAT))
def test_sigmoid_is_between_zero_and_one_and_symmetric(gate: int) -> None:
    value, mirrored = (int(fixed.sigmoid(one(g), EXP2)) for g in (gate, -gate))
    assert 0 <= value <= 2**23
    assert abs(value + mirrored - 2**23) <= (1 if gate else 0)
    assert abs(value / 2**23 - 1 / (1 + math.exp(-max(-700.0, min(700.0, gate / 4096))))) < 1e-4


@given(positive31, st.integers(0, 2**61 - 1), st.integers(0, 2**60 - 1))
def test_norm_scale_follows_its_formula(largest: int, squares: int, epsilon: int) -> None:
    down = max(0, largest.bit_length() - 23)
    total = max(1, squares + (epsilon >> (2 * down)))
    up = (62 - total.bit_length()) // 2
    m, e = fixed.quotient16(one(largest), one(math.isqrt(total << (2 * up))))
    assert tuple(map(int, fixed.norm_scale(one(largest), one(squares), epsilon))) == (int(m), int(e) + up - down)


def gelu_by_definition(x: int) -> int:
    table, magnitude = PHI.tolist(), abs(x)
    index, rest = divmod(magnitude, 64)
    share = table[512]
    if magnitude < 2**15:
        share = table[index] + floor_shift((table[index + 1] - table[index]) * rest + 32, 6)
    share = 2**23 - share if x < 0 else share
    return max(-SAT, min(SAT, floor_shift(x * share + 2**22, 23)))


@given(st.one_of(st.integers(-SAT, SAT), st.integers(-40000, 40000)))
def test_gelu_follows_its_formula_and_is_close_to_the_real_one(x: int) -> None:
    found = int(fixed.gelu(one(x), PHI))
    assert found == gelu_by_definition(x)
    assert abs(found / 4096 - x / 8192 * (1 + math.erf(x / 4096 / math.sqrt(2)))) < 5e-4 + 1e-9 * abs(x)


@pytest.mark.parametrize("x", [0, 1, -1, 63, 64, -64, 2**15 - 1, 2**15, -(2**15), SAT, -SAT])
def test_gelu_at_its_edges(x: int) -> None:
    assert int(fixed.gelu(one(x), PHI)) == gelu_by_definition(x)


@given(st.integers(-16383, 16383))
def test_planes_are_int8_and_give_the_number_back(q: int) -> None:
    high, low = (int(plane) for plane in fixed.planes(one(q)))
    assert -128 <= high <= 127
    assert 0 <= low <= 127
    assert 128 * high + low == q


def mix_by_definition(x: int, key0: int, key1: int) -> int:
    x ^= key0
    for shift, factor, added in ((16, 0x7FEB352D, 0), (15, 0x2C1B3C6D, 0), (16, 1, key1)):
        x = ((x ^ (x >> shift)) * factor + added) % 2**32
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        x = ((x ^ (x >> shift)) * factor) % 2**32
    return x ^ (x >> 15)


word = st.integers(0, 2**32 - 1)


@given(word, word, word)
def test_mix_is_the_keyed_mixer_in_unbounded_integers(entry: int, key0: int, key1: int) -> None:
    assert int(fixed.mix(one(entry), key0, key1)) == mix_by_definition(entry, key0, key1)


@given(word, word, word)
def test_gumbel_is_the_double_logarithm_of_the_mixer_s_uniform(entry: int, key0: int, key1: int) -> None:
    uniform = Fraction(2 * mix_by_definition(entry, key0, key1) + 1, 2**33)
    energy = -math.log1p(float(uniform - 1)) / math.log(2)
    assert abs(int(fixed.gumbel(one(entry), key0, key1, LOG2)) / 2**16 + math.log2(energy)) < 1e-3


def test_gumbel_noise_of_a_large_vocabulary_has_the_distribution() -> None:
    noise = fixed.gumbel(torch.arange(2**18), 0x12345678, 0x9ABCDEF0, LOG2) / 2.0**16
    scale = 1 / math.log(2)  # in log2 units: variance pi^2/6 * scale^2; the mean is moved by log2(ln 2)
    assert abs(float(noise.mean()) - 0.5772156649 * scale - math.log2(math.log(2))) < 0.02
    assert abs(float(noise.var()) - math.pi**2 / 6 * scale**2) < 0.05


@pytest.mark.parametrize("table", [EXP2, LOG2, PHI])
def test_tables_are_monotonic_and_within_the_ranges_the_proof_assumes(table: torch.Tensor) -> None:
    steps: Callable[[torch.Tensor], torch.Tensor] = torch.diff
    assert len({int(sign) for sign in steps(table).sign()} - {0}) == 1
    assert 0 <= int(table.min()) <= int(table.max()) <= 2**24
