"""The least payment with a request: dust, which costs more to fetch than it brings, is neither asked for nor taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from x402.http.constants import PAYMENT_REQUIRED_HEADER
from x402.http.utils import decode_payment_required_header

from node.gateway.access.x402_offers import Authorization, X402Terms, payment_required, why_not
from node.gateway.settings import GatewaySettings

pytestmark = pytest.mark.fast

PAY_TO, NOW = "0x" + "22" * 20, 1_000_000.0
TERMS = X402Terms(31337, "0x" + "11" * 20, PAY_TO, "Test Dollar", "2", 300, least_wei=3_001)
OFFER = Authorization("0x" + "33" * 20, PAY_TO, 11, 0, int(NOW) + 60, bytes(32), bytes(65))


@pytest.mark.parametrize("wei", [0, 1, 300, 3_001])
def test_no_payment_of_less_than_the_least_is_asked_for(wei: int) -> None:
    error = payment_required(TERMS, wei, "https://gateway.example/v1/messages", "pay")
    (wanted,) = decode_payment_required_header(error.headers[PAYMENT_REQUIRED_HEADER]).accepts
    assert wanted.amount == "11"  # 3 001 wei at 300 wei each, rounded up


def test_a_payment_of_less_is_refused_however_cheap_the_answer_is() -> None:
    for wei in (0, 1, 3_000, 10**6):
        reason = why_not(replace(OFFER, units=10), TERMS, wei, NOW)
        assert reason == "the payment is of 10 units, and none of less than 11 units is taken"
    assert why_not(OFFER, TERMS, 1, NOW) is None


def test_an_answer_that_costs_more_than_the_least_is_paid_whole() -> None:
    assert TERMS.units(30_000) == 100
    reason = why_not(replace(OFFER, units=99), TERMS, 30_000, NOW)
    assert reason == "the payment is of 99 units, and this can cost 100 units"


def test_a_gateway_has_a_least_payment_unless_its_operator_says_otherwise() -> None:
    assert GatewaySettings().x402_least_wei == 10**14
