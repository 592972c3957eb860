"""Prices are exact integers and follow the policy; settlement splits to the wei."""

from __future__ import annotations

from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.market.documents import Ask
from nexus_chain.market.errors import PriceError
from nexus_chain.market.pricing import (
    BASE_WEI_PER_1K_TOKENS,
    ComputePrice,
    PricePolicy,
    ask_for,
    billed_positions,
    calculate_cost,
    complexity_of,
    quote,
)
from nexus_chain.market.settlement import split_settlement


def test_the_base_price_is_for_a_thousand_tokens_of_a_7b_model() -> None:
    assert complexity_of(7_000_000_000) == 1
    assert calculate_cost(1000, 100, 1) == BASE_WEI_PER_1K_TOKENS
    assert calculate_cost(1000, 100, complexity_of(70_000_000_000)) == 10 * BASE_WEI_PER_1K_TOKENS


def test_faster_nodes_may_ask_for_more() -> None:
    assert calculate_cost(1000, 99.9, 1) * 2 == BASE_WEI_PER_1K_TOKENS * 3
    assert calculate_cost(1000, 100.0, 1) == BASE_WEI_PER_1K_TOKENS


@given(st.integers(0, 10**12), st.floats(0, 1e6), st.integers(1, 10**13), st.integers(0, 10**30))
def test_cost_is_the_exact_product_rounded_up_once(tokens: int, latency: float, weights: int, base: int) -> None:
    exact = Fraction(tokens, 1000) * base * Fraction(weights, 7 * 10**9) * (Fraction(3, 2) if latency < 100 else 1)
    cost = calculate_cost(tokens, latency, complexity_of(weights), base)
    assert isinstance(cost, int)
    assert exact <= cost < exact + 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: complexity_of(0),
        lambda: calculate_cost(-1, 1, 1),
        lambda: calculate_cost(1, -1, 1),
        lambda: calculate_cost(1, float("nan"), 1),
        lambda: calculate_cost(1, 1, 0),
        lambda: ComputePrice(1, 1.0, Fraction(1), -1).wei,
        lambda: billed_positions(0, 1),
        lambda: billed_positions(1, 0),
        lambda: split_settlement(-1),
    ],
)
def test_impossible_prices_are_refused(make: object) -> None:
    with pytest.raises(PriceError):
        make()  # type: ignore[operator]


def test_quote_counts_the_prompt_and_every_token_but_the_last() -> None:
    offer = quote([Ask(0, 2, 5), Ask(2, 4, 7)], prompt_tokens=10, max_tokens=4)
    assert (offer.positions, offer.wei_by_segment, offer.total_wei) == (13, (65, 91), 156)


def test_a_node_asks_for_its_share_of_the_weights() -> None:
    assert ask_for(0, 4, 7_000_000_000, latency_ms=200) == Ask(0, 4, BASE_WEI_PER_1K_TOKENS // 1000)
    assert ask_for(0, 4, 3_500_000_000, latency_ms=200).wei_per_token == BASE_WEI_PER_1K_TOKENS // 2000
    assert ask_for(0, 4, 7_000_000_000, latency_ms=50).wei_per_token == BASE_WEI_PER_1K_TOKENS * 3 // 2000
    assert ask_for(0, 4, 7_000_000_000, latency_ms=inf) == ask_for(0, 4, 7_000_000_000, latency_ms=200)


def test_policy_limits_a_whole_order() -> None:
    offer = quote([Ask(0, 1, 10)], 5, 6)
    PricePolicy(max_order_wei=100).accept_total(offer)
    PricePolicy().accept_total(offer)
    with pytest.raises(PriceError, match="Ask for fewer tokens"):
        PricePolicy(max_order_wei=99).accept_total(offer)


@given(st.integers(0, 2**128 - 1))
def test_split_loses_nothing_and_rounds_for_the_node(amount: int) -> None:
    node, vault = split_settlement(amount)
    assert (node + vault, vault) == (amount, amount // 10)
