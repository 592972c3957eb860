"""Orders, vouchers and receipts: each defect is refused by its own error, with advice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.market.documents import Ask, Domain, Line, Order, Receipt, TokenFeed, Voucher, address_of, sign
from nexus_chain.market.errors import (
    LowerVoucherError,
    MarketError,
    OrderAsksError,
    OrderExpiredError,
    OrderOverLimitError,
    OrderSessionError,
    ReceiptError,
    ReplayedVoucherError,
    StaleVoucherError,
    VoucherLineError,
    VoucherOverCapError,
    WrongSignerError,
)
from nexus_chain.market.orders import OrderTerms, check_order, require_own_ask
from nexus_chain.market.receipts import check_link, check_prompt, check_receipt
from nexus_chain.market.settlement import compute_transaction
from nexus_chain.market.vouchers import amount_in, require_rise

KEY, OTHER = b"\x01" * 32, b"\x02" * 32
SIGNER, NODE, SECOND = address_of(KEY), address_of(b"\x03" * 32), address_of(b"\x04" * 32)
DOMAIN = Domain(31337, "0x" + "11" * 20)
SESSION, VERSION, SALT, ROOT = b"\x05" * 32, b"\x06" * 32, b"\x07" * 32, b"\x08" * 32
ASKS = (Ask(0, 2, 5), Ask(2, 4, 7))
ORDER = Order(SESSION, SALT, VERSION, ROOT, 40, bytes(32), 0, 12 * 49, ASKS, 1000)
TERMS = OrderTerms(SESSION, SIGNER, VERSION, layers=4, context=64, now=1000)


def checked(order: Order, key: bytes = KEY, prompt: int = 10, terms: OrderTerms = TERMS) -> int:
    return check_order(order, sign(order, key, DOMAIN), DOMAIN, terms, prompt).total_wei


def test_a_good_order_is_quoted_at_most_its_maximum() -> None:
    assert checked(ORDER) == 12 * 49 == ORDER.max_price


@pytest.mark.parametrize(
    ("change", "error", "advice"),
    [
        ({"session": ROOT}, OrderSessionError, "new order"),
        ({"model_version": ROOT}, OrderSessionError, "new order"),
        ({"deadline": 999}, OrderExpiredError, "new order"),
        ({"asks": ()}, OrderAsksError, "missing segments"),
        ({"asks": ASKS[:1]}, OrderAsksError, "missing segments"),
        ({"asks": ASKS[1:]}, OrderAsksError, "starts where"),
        ({"asks": (*ASKS, Ask(4, 5, 1))}, OrderAsksError, "drop those beyond"),
        ({"asks": (Ask(0, 0, 1), *ASKS)}, OrderAsksError, "starts where"),
        ({"max_tokens": 55}, OrderOverLimitError, "Shorten"),
        ({"max_tokens": 0}, OrderOverLimitError, "at least one"),
        ({"max_price": 12 * 49 - 1}, OrderOverLimitError, "Raise the order's maximum"),
    ],
)
def test_each_defect_of_an_order_has_its_error(
    change: dict[str, object], error: type[MarketError], advice: str
) -> None:
    with pytest.raises(error) as raised:
        checked(replace(ORDER, **change))  # type: ignore[arg-type]
    assert advice in raised.value.advice


def test_an_order_by_another_key_is_refused() -> None:
    with pytest.raises(WrongSignerError):
        checked(ORDER, key=OTHER)


def test_a_node_serves_its_own_layers_at_its_price_or_above() -> None:
    require_own_ask(ORDER, 1, Ask(2, 4, 7))
    require_own_ask(ORDER, 1, Ask(2, 4, 6))
    for segment, own in ((1, Ask(2, 4, 8)), (0, Ask(2, 4, 7)), (2, Ask(2, 4, 7))):
        with pytest.raises(OrderAsksError):
            require_own_ask(ORDER, segment, own)


# ---------------------------------------------------------------- vouchers


@pytest.mark.parametrize(
    ("amount", "error"), [(40, ReplayedVoucherError), (39, LowerVoucherError), (0, LowerVoucherError)]
)
def test_stale_vouchers_are_harmless_and_named(amount: int, error: type[StaleVoucherError]) -> None:
    with pytest.raises(error, match="Nothing is lost"):
        require_rise(amount, held=40, cap=100)
    require_rise(41, held=40, cap=100)


@given(st.lists(st.integers(0, 120), max_size=20))
def test_whatever_arrives_the_highest_within_the_cap_counts(amounts: list[int]) -> None:
    held = 0
    for amount in amounts:
        try:
            require_rise(amount, held=held, cap=100)
        except (StaleVoucherError, VoucherOverCapError):
            continue
        held = amount
    assert held == max([amount for amount in amounts if amount <= 100], default=0)


def test_over_cap_until_the_cap_rises() -> None:
    with pytest.raises(VoucherOverCapError, match="Raise the cap"):
        require_rise(101, held=40, cap=100)
    require_rise(101, held=40, cap=101)


def test_a_node_reads_its_own_line_only() -> None:
    assert amount_in(Voucher(SESSION, (Line(SECOND, 1000), Line(NODE, 41))), NODE) == 41
    for lines in ((), (Line(SECOND, 50),), (Line(NODE, 50), Line(NODE, 60))):
        with pytest.raises(VoucherLineError, match="exactly one line per node"):
            amount_in(Voucher(SESSION, lines), NODE)


# ---------------------------------------------------------------- receipts

DIGEST = ORDER.digest(DOMAIN)
FIRST = Receipt(DIGEST, NODE, 0, 0, 10, ROOT, b"\x09" * 32, (), 50)
NEXT = Receipt(DIGEST, SECOND, 1, 0, 10, b"\x09" * 32, b"\x0a" * 32, (FIRST.digest(DOMAIN),), 70)


def verify(receipt: Receipt, key: bytes = b"\x03" * 32) -> None:
    signature = sign(receipt, key, DOMAIN)
    check_receipt(receipt, signature, DOMAIN, ORDER, receipt_key=NODE, prompt_length=10)


def test_a_good_receipt_and_its_links() -> None:
    verify(FIRST)
    verify(replace(FIRST, from_position=10, to_position=42, price=160))
    check_prompt(FIRST, ORDER, 10)
    check_link(NEXT, FIRST, DOMAIN)
    feed = TokenFeed(DIGEST, 42, ROOT)
    check_link(replace(FIRST, from_position=10, to_position=42, predecessors=(feed.digest(DOMAIN),)), feed, DOMAIN)


@pytest.mark.parametrize(
    "change",
    [
        {"order_digest": ROOT},
        {"segment": 2},
        {"price": 51},
        {"price": 0},
        {"from_position": 10, "price": 0},
        {"to_position": 9, "price": 45},
        {"to_position": 50, "price": 250},
    ],
)
def test_receipts_that_do_not_follow_from_the_order(change: dict[str, object]) -> None:
    with pytest.raises(ReceiptError, match="spare"):
        verify(replace(FIRST, **change))  # type: ignore[arg-type]


def test_a_receipt_by_another_key_is_refused() -> None:
    with pytest.raises(WrongSignerError):
        verify(FIRST, key=OTHER)


@pytest.mark.parametrize(
    "break_link",
    [
        lambda: check_link(replace(NEXT, predecessors=()), FIRST, DOMAIN),
        lambda: check_link(replace(NEXT, in_root=ROOT), FIRST, DOMAIN),
        lambda: check_link(replace(NEXT, to_position=11), FIRST, DOMAIN),
        lambda: check_link(replace(NEXT, segment=2), FIRST, DOMAIN),
        lambda: check_link(replace(NEXT, order_digest=ROOT), FIRST, DOMAIN),
        lambda: check_prompt(NEXT, ORDER, 10),
        lambda: check_prompt(replace(FIRST, in_root=SALT), ORDER, 10),
        lambda: check_prompt(FIRST, ORDER, 9),
    ],
)
def test_broken_links_are_refused(break_link: Callable[[], None]) -> None:
    with pytest.raises(ReceiptError):
        break_link()


def test_what_a_node_earned_is_split_once() -> None:
    later = replace(FIRST, from_position=10, to_position=13, price=15)
    earned = compute_transaction([FIRST, later], SIGNER, 77)
    assert (earned.tokens_processed, earned.cost_wei, earned.node_share_wei, earned.vault_share_wei) == (13, 65, 59, 6)
    assert (earned.tx_id, earned.user_id, earned.node_id) == ("0x" + DIGEST.hex(), SIGNER, NODE)
    for mixed in ([], [FIRST, NEXT]):
        with pytest.raises(ReceiptError):
            compute_transaction(mixed, SIGNER, 77)
