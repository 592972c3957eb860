"""Payment with a request, tried with the official client over TCP, on Anvil with an EIP-3009 token."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from x402 import x402Client
from x402.http.clients.httpx import x402HttpxClient
from x402.http.utils import decode_payment_required_header, decode_payment_response_header
from x402.mechanisms.evm.exact import ExactEvmScheme

from nexus_chain.chain.local import LocalChain, anvil
from node.gateway.access.x402_offers import read_payment
from node.gateway.accounts import PaymentOffer
from node.gateway.ledger.books import PAYMENTS_IN, audit_books, booked_balance, user
from node.gateway.ledger.database import Database
from node.gateway.ledger.tables import PAYMENTS
from tests.support.access_app import ALICE, BOB
from tests.support.paid_app import TOKENS_OF_ALICE, WEI_PER_TOKEN, WEI_PER_UNIT, PaidApp, paid_app

PATH, TOKENS = "/v1/chat/completions", 10
UNITS = 34  # 10 000 wei at 300 wei each, rounded up
CREDIT = UNITS * WEI_PER_UNIT


@pytest.fixture(scope="module")
def chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


@pytest.fixture
def app(chain: LocalChain, database: Database) -> Iterator[PaidApp]:
    with paid_app(chain, database) as made:
        yield made


def balances(app: PaidApp, *names: str) -> list[int]:
    database = app.accounts.database
    return [
        database.read(partial(booked_balance, account=name)) for name in names or (user(ALICE.address), PAYMENTS_IN)
    ]


def client_of(account: Any = ALICE) -> x402Client:
    client = x402Client()
    client.set_spend_controls(False)  # the token is a test's: no list of coins knows it
    client.register("eip155:*", ExactEvmScheme(account))
    return client


def paid(app: PaidApp, account: Any = ALICE, **params: Any) -> httpx.Response:
    """As the official client asks: once without payment, once with."""

    async def ask() -> httpx.Response:
        async with x402HttpxClient(client_of(account), base_url=app.url, timeout=60) as client:
            answer = await client.post(PATH, json={"max_tokens": TOKENS}, params=params)
            await answer.aread()
            return answer

    return asyncio.run(ask())


def sent(app: PaidApp, header: str | None, tokens: int = TOKENS, **params: Any) -> httpx.Response:
    headers = {} if header is None else {"payment-signature": header}
    return httpx.post(app.url + PATH, json={"max_tokens": tokens}, headers=headers, params=params, timeout=60)


def payment(app: PaidApp, account: Any = ALICE, tokens: int = TOKENS, **changes: Any) -> str:
    """A payment header for an answer of that many tokens; ``changes`` of what the client is told to pay."""
    required = decode_payment_required_header(sent(app, None, tokens).headers["payment-required"])
    required.accepts[0] = required.accepts[0].model_copy(update=changes)
    payload = asyncio.run(client_of(account).create_payment_payload(required))
    return base64.b64encode(payload.model_dump_json(by_alias=True, exclude_none=True).encode()).decode()


def reason(answer: httpx.Response) -> str:
    assert answer.status_code == 402
    assert "payment-response" not in answer.headers
    return str(answer.json()["error"]["message"])


def test_a_caller_without_a_key_is_told_what_to_pay(app: PaidApp) -> None:
    answer = sent(app, None)
    assert reason(answer) == "this needs a payment or an API key"
    said = decode_payment_required_header(answer.headers["payment-required"])
    (wanted,) = said.accepts
    assert (wanted.scheme, wanted.network, wanted.amount) == ("exact", "eip155:31337", str(UNITS))
    assert (wanted.asset, wanted.pay_to) == (app.terms.asset, app.terms.pay_to)
    assert wanted.extra == {"name": "Test Dollar", "version": "2"}
    assert balances(app) == [0, 0]


def test_the_official_client_pays_and_is_served(app: PaidApp) -> None:
    answer = paid(app)
    assert (answer.status_code, answer.json()) == (200, {"payer": ALICE.address})
    receipt = decode_payment_response_header(answer.headers["payment-response"])
    assert (receipt.success, receipt.payer, receipt.amount) == (True, ALICE.address, str(UNITS))
    mined = app.token.w3.eth.get_transaction_receipt(receipt.transaction)  # type: ignore[arg-type]
    assert mined["status"] == 1
    assert app.units_of(ALICE.address) == TOKENS_OF_ALICE - UNITS
    assert app.units_of(app.terms.pay_to) == UNITS
    assert balances(app) == [CREDIT - TOKENS * WEI_PER_TOKEN // 2, -CREDIT]
    assert app.accounts.database.read(audit_books) == []


def test_a_payment_counts_once(app: PaidApp) -> None:
    header = payment(app)
    assert sent(app, header).status_code == 200
    left = balances(app)
    assert reason(sent(app, header)) == "the payment was used before"
    assert balances(app) == left
    assert app.units_of(app.terms.pay_to) == UNITS


def test_a_payment_counts_once_also_at_the_same_time(app: PaidApp) -> None:
    header = payment(app)

    async def at_once() -> list[int]:
        async with httpx.AsyncClient(base_url=app.url, timeout=60) as client:
            asks = [
                client.post(PATH, json={"max_tokens": TOKENS}, headers={"payment-signature": header}) for _ in range(6)
            ]
            return sorted(answer.status_code for answer in await asyncio.gather(*asks))

    assert asyncio.run(at_once()) == [200, 402, 402, 402, 402, 402]
    assert app.units_of(app.terms.pay_to) == UNITS
    assert balances(app)[1] == -CREDIT


def test_what_an_answer_did_not_cost_stays_the_payer_s(app: PaidApp) -> None:
    answer = paid(app, fail=True)
    assert answer.status_code == 503
    assert decode_payment_response_header(answer.headers["payment-response"]).success
    assert balances(app) == [CREDIT, -CREDIT]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"amount": str(UNITS - 1)}, f"the payment is of {UNITS - 1} units, and this can cost {UNITS} units"),
        ({"pay_to": BOB.address}, "the payment is for somebody else"),
        ({"max_timeout_seconds": 5}, "the payment has expired, or is about to"),
        ({"max_timeout_seconds": 10**9}, "the payment is valid for longer than 120 seconds"),
    ],
)
def test_a_payment_that_does_not_do_is_not_taken(app: PaidApp, changes: dict[str, Any], message: str) -> None:
    answer = sent(app, payment(app, **changes))
    assert reason(answer) == message
    assert decode_payment_required_header(answer.headers["payment-required"]).accepts[0].amount == str(UNITS)
    assert (app.units_of(ALICE.address), balances(app)) == (TOKENS_OF_ALICE, [0, 0])


def test_strangers_who_pay_at_once_take_no_memory_without_end(app: PaidApp) -> None:
    app.payments._waiting = 64
    assert sent(app, payment(app)).status_code == 429
    app.payments._waiting = 0
    assert sent(app, payment(app)).status_code == 200
    assert app.payments._waiting == 0


def test_a_payer_without_tokens_is_not_served(app: PaidApp) -> None:
    answer = sent(app, payment(app, BOB))
    assert reason(answer) == "the token refuses the payment: check the payer's balance"
    assert balances(app, user(BOB.address), PAYMENTS_IN) == [0, 0]
    rows = app.accounts.database.read(lambda connection: connection.execute(PAYMENTS.select()).all())
    assert rows == []


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "eip155:1"},
        {"asset": "0x" + "42" * 20},
        {"extra": {"name": "Other Dollar", "version": "2"}},
    ],
)
def test_a_signature_for_another_token_or_chain_is_none(app: PaidApp, changes: dict[str, Any]) -> None:
    assert sent(app, payment(app, **changes)).status_code == 400
    assert (app.units_of(ALICE.address), balances(app)) == (TOKENS_OF_ALICE, [0, 0])


def test_what_is_no_payment_is_malformed(app: PaidApp) -> None:
    good = json.loads(base64.b64decode(payment(app)))
    others = json.loads(base64.b64decode(payment(app, BOB)))

    def changed(**changes: Any) -> str:
        authorization = good["payload"]["authorization"] | changes
        document = good | {"payload": good["payload"] | {"authorization": authorization}}
        return base64.b64encode(json.dumps(document).encode()).decode()

    nonsense = ["x", "e30=", "A" * 20_000]
    nonsense += [base64.b64encode(text).decode() for text in (b"[]", b'{"x402Version": 1}')]
    forged = [
        changed(value=str(UNITS + 1)),
        changed(to=BOB.address),
        changed(nonce="0x" + "00" * 32),
        changed(nonce="0x00"),
        changed(nonce=7),
        changed(value=-1),
        changed(value="1e3"),
        changed(validBefore=str(2**256)),
        changed(**{"from": "nobody"}),
        changed(**{"from": others["payload"]["authorization"]["from"]}),
    ]
    unsigned = base64.b64encode(json.dumps(good | {"payload": good["payload"] | {"signature": "0x"}}).encode()).decode()
    assert [sent(app, header).status_code for header in [*nonsense, *forged, unsigned]] == [400] * 16
    assert (app.units_of(ALICE.address), balances(app)) == (TOKENS_OF_ALICE, [0, 0])


def test_a_payment_opens_nothing_but_its_answer(app: PaidApp) -> None:
    headers = {"payment-signature": payment(app)}
    assert httpx.get(app.url + "/v1/account", headers=headers).status_code == 401


def test_a_payment_that_somebody_else_sent_to_the_chain_counts(app: PaidApp, chain: LocalChain) -> None:
    """Whoever sees an authorization can send it; the money arrives all the same."""
    header = payment(app)
    call = app.payments._transfer(read_payment(header, app.terms))
    real_send = app.payments._sender.send

    def overtaken(*words: Any, **more: Any) -> Any:
        call.transact({"from": chain.connection.web3.eth.accounts[0]})
        return real_send(*words, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.payments._sender, "send", overtaken)
        assert sent(app, header).status_code == 200
    assert app.units_of(app.terms.pay_to) == UNITS
    assert balances(app)[1] == -CREDIT


def test_a_gateway_that_died_in_between_loses_no_payment(app: PaidApp) -> None:
    header = payment(app)

    def dies(*words: Any, **more: Any) -> Any:
        app.payments._transfer(read_payment(header, app.terms)).transact({"from": app.token.w3.eth.accounts[0]})
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.payments._sender, "send", dies)
        with pytest.raises(SystemExit):
            app.payments._take(PaymentOffer(header, ""), TOKENS * WEI_PER_TOKEN)
    assert balances(app) == [0, 0]
    app.payments.keep_up()
    assert balances(app) == [0, 0]  # it may be under way still
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.payments, "_clock", lambda: time.time() + 3_600)
        app.payments.keep_up()
        app.payments.keep_up()
    assert balances(app) == [CREDIT, -CREDIT]


def test_a_wallet_without_gas_takes_no_payment(app: PaidApp, chain: LocalChain) -> None:
    header = payment(app)
    chain.set_balance(app.terms.pay_to, 0)
    answer = sent(app, header)
    assert answer.status_code == 503
    chain.set_balance(app.terms.pay_to, 10**19)
    assert sent(app, header).status_code == 200  # it was not used up
