"""Keccak-256 is the chain's, not the standard's SHA3-256."""

from __future__ import annotations

from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.keccak import keccak256


@given(st.binary(max_size=500))
def test_it_is_what_the_chain_computes(data: bytes) -> None:
    assert keccak256(data) == keccak(data)
