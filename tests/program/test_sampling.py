"""Sampling parameters: ranges, temperatures, noise keys."""

from __future__ import annotations

import math
from hashlib import sha256

import pytest

from nexus_chain.program import Sampling
from nexus_chain.program.errors import SamplingError


def test_greedy_is_the_default_and_temperature_zero() -> None:
    assert Sampling() == Sampling.at_temperature(0) == Sampling(0, bytes(32))


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 2.5])
def test_beta_is_log2_e_over_the_temperature_in_q16(temperature: float) -> None:
    assert Sampling.at_temperature(temperature).beta == round(65536 * math.log2(math.e) / temperature)


def test_noise_keys_are_the_first_two_words_of_the_digest() -> None:
    seed = bytes(range(32))
    digest = sha256(b"nexus.gumbel.v1" + seed + (300).to_bytes(8, "big")).digest()
    assert Sampling(1, seed).noise_keys(300) == (
        int.from_bytes(digest[:4], "big"),
        int.from_bytes(digest[4:8], "big"),
    )


@pytest.mark.parametrize("beta", [-1, 2**31])
def test_beta_outside_its_range_is_refused(beta: int) -> None:
    with pytest.raises(SamplingError, match="outside"):
        Sampling(beta)


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf, 1e-9])
def test_a_temperature_without_meaning_is_refused(temperature: float) -> None:
    with pytest.raises(SamplingError):
        Sampling.at_temperature(temperature)


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(SamplingError, match="32 bytes, not 31"):
        Sampling(1, bytes(31))
