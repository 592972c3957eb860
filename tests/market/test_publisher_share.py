"""The publisher's share, by the contract's arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.market.documents import Ask
from nexus_chain.market.errors import PriceError
from nexus_chain.market.pricing import PricePolicy, Quote, quote
from nexus_chain.market.publisher_share import (
    locked_with_share,
    per_cent,
    publisher_share,
    share_at_most,
    share_of_costs,
)

pytestmark = pytest.mark.fast

WEI = st.integers(0, 2**104)
RATE = st.integers(0, 2_000)


def test_it_is_rounded_down_and_what_an_answer_adds_is_rounded_up() -> None:
    assert [publisher_share(wei, 500) for wei in (0, 19, 20, 39, 40)] == [0, 0, 1, 1, 2]
    assert [share_at_most(wei, 500) for wei in (0, 1, 20, 21)] == [0, 1, 1, 2]
    assert share_of_costs([("a", 10), ("b", 1), ("a", 10)], 500) == 1 + 1
    assert share_of_costs([("a", 10**18)], 0) == 0
    with pytest.raises(PriceError):
        publisher_share(-1, 500)


@given(WEI, st.integers(0, 2**20), RATE)
def test_what_answers_add_covers_what_a_line_pays(before: int, added: int, rate: int) -> None:
    grown = publisher_share(before + added, rate) - publisher_share(before, rate)
    assert grown <= share_at_most(added, rate) <= publisher_share(added, rate) + 1


def test_each_line_locks_the_share_of_its_own_cap() -> None:
    assert locked_with_share([19, 19], 500) == 38
    assert locked_with_share([38], 500) == 39
    assert locked_with_share([], 500) == 0


def test_a_users_limit_counts_the_share_and_the_orders_price_does_not() -> None:
    offer = quote([Ask(0, 1, 100)], 5, 6, share=500)
    assert (offer.total_wei, offer.share_wei, offer.most_wei) == (1_000, 50, 1_050)
    PricePolicy(1_050).accept_total(offer)
    with pytest.raises(PriceError, match="may cost 1050 wei, 50 wei of it for the publisher, the limit is 1049"):
        PricePolicy(1_049).accept_total(offer)
    assert Quote(1, (7,)).most_wei == 7


def test_rates_in_words() -> None:
    assert [per_cent(rate) for rate in (0, 1, 250, 500, 2_000)] == ["0 %", "0.01 %", "2.5 %", "5 %", "20 %"]
