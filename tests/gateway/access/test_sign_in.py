"""Sign-in with Ethereum: who gets a session, and every message that does not."""

from __future__ import annotations

from typing import Any

import pytest

from node.gateway.access.sign_in import NONCE_SECONDS, SIGNED_IN_SECONDS
from node.gateway.ledger.database import Database
from tests.support.access_app import ALICE, BOB, CHAIN_ID, DOMAIN, START, URI, AccessApp, access_app, message_of, signed

pytestmark = pytest.mark.fast


def verify(app: AccessApp, text: str, signature: str | None = None) -> Any:
    return app.call("POST", "/v1/siwe/verify", json={"message": text, "signature": signature or signed(text, ALICE)})


def refused(app: AccessApp, text: str, signature: str | None = None) -> tuple[int, str]:
    answer = verify(app, text, signature)
    assert "token" not in answer.text
    return answer.status_code, answer.json()["error"]["message"]


def test_whoever_holds_the_key_gets_a_session(app: AccessApp) -> None:
    asked = app.call("GET", "/v1/siwe/nonce")
    assert asked.headers["cache-control"] == "no-store"
    said = asked.json()
    nonce = said.pop("nonce")
    assert nonce.isalnum()
    assert said == {"domain": DOMAIN, "uri": URI, "chain_id": CHAIN_ID, "version": "1", "expires_in": NONCE_SECONDS}
    answer = verify(app, message_of(ALICE.address, nonce)).json()
    assert (answer["account"], answer["expires"]) == (ALICE.address, START + SIGNED_IN_SECONDS)
    shown = app.call("GET", "/v1/account", answer["token"]).json()
    assert (shown["account"], shown["balance_wei"]) == (ALICE.address, "0")


@pytest.mark.parametrize(
    "changes",
    [
        {"statement": None},
        {"domain": f"https://{DOMAIN}"},
        {"Issued_At": "2026-09-21T13:33:20.123Z"},
        {"Issued_At": "2026-09-21T15:33:20+02:00"},
        {"Expiration_Time": "2026-09-21T14:00:00Z"},
        {"Not_Before": "2026-09-21T13:33:20Z"},
        {"Request_ID": "one"},
        {"Request_ID": ""},
        {"Resources": f"\n- {URI}/v1\n- ipfs://bafybeigdyrzt5"},
    ],
    ids=lambda changes: " ".join(map(str, changes.items())),
)
def test_optional_lines_are_optional(app: AccessApp, changes: dict[str, str | None]) -> None:
    text = message_of(ALICE.address, app.nonce(), **changes).replace("Resources: \n", "Resources:\n")
    assert verify(app, text).status_code == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"domain": "evil.example"}, f"the message is for another domain than {DOMAIN}"),
        ({"domain": "gateway.example"}, f"the message is for another domain than {DOMAIN}"),
        ({"URI": "https://evil.example"}, f"the message is for another URI than {URI}"),
        ({"Chain_ID": "1"}, f"the message is for another chain than {CHAIN_ID}"),
        ({"Expiration_Time": "2026-09-21T13:33:20Z"}, "the message has expired"),
        ({"Expiration_Time": "2026-09-21T13:33:19Z"}, "the message has expired"),
        ({"Not_Before": "2026-09-21T13:33:21Z"}, "the message is not valid yet"),
        ({"Issued_At": "2026-09-21T13:00:00Z"}, "the message was not issued just now"),
        ({"Issued_At": "2026-09-21T14:00:00Z"}, "the message was not issued just now"),
        ({"Nonce": "12345678"}, "the message's nonce is not this gateway's"),
        ({"Nonce": "a" * 66}, "the message's nonce is not this gateway's"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_a_message_for_elsewhere_or_another_time_opens_nothing(
    app: AccessApp, changes: dict[str, str], message: str
) -> None:
    assert refused(app, message_of(ALICE.address, app.nonce(), **changes)) == (401, message)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "Hello",
        lambda text: text.replace("wants you to sign in", "wants you to pay"),
        lambda text: text.replace(ALICE.address, "0x1234"),
        lambda text: text.replace(ALICE.address, ALICE.address[2:]),
        lambda text: text.replace("Version: 1", "Version: 2"),
        lambda text: text.replace("Version: 1\n", ""),
        lambda text: text.replace(f"Chain ID: {CHAIN_ID}", "Chain ID: one"),
        lambda text: text.replace(f"Chain ID: {CHAIN_ID}\n", ""),
        lambda text: text.replace(f"URI: {URI}", "URI: not a uri"),
        lambda text: text.replace("Issued At: 2026-09-21T13:33:20Z", "Issued At: yesterday"),
        lambda text: text.replace("\nIssued At: 2026-09-21T13:33:20Z", ""),
        lambda text: text.replace("Nonce: ", "Nonce: -"),
        lambda text: text + "\n",
        lambda text: text + "\nNot Before: 2026-13-41T00:00:00Z",
        lambda text: text + "\nFavourite Colour: blue",
        lambda text: text.replace("I spend my credit here.", "Two\nlines"),
        lambda text: text.replace("Version", "Nonce: 12345678\nVersion"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "x" * 2_000,
        lambda text: text.replace(ALICE.address, ALICE.address.lower()),
        lambda text: text.replace(ALICE.address, "0x" + ALICE.address[2:].upper()),
        lambda text: text.replace(ALICE.address, ALICE.address.swapcase().replace("X", "x", 1)),
    ],
)  # fmt: skip
def test_what_is_no_such_message_is_malformed(app: AccessApp, change: Any) -> None:
    changed = change(message_of(ALICE.address, app.nonce()))
    assert verify(app, changed).status_code == 400


def test_another_s_signature_or_none_opens_nothing(app: AccessApp) -> None:
    text = message_of(ALICE.address, app.nonce())
    good = signed(text, ALICE)
    wrong = [signed(text, BOB), signed(text + " ", ALICE), "0x", "0x00", "nonsense", good[:-2], "0x" + "ff" * 65]
    for signature in wrong:
        assert refused(app, text, signature) == (401, "the message's account did not sign it")
    assert verify(app, text, good).status_code == 200  # wrong ones used nothing up


def test_a_nonce_is_used_once(app: AccessApp) -> None:
    text = message_of(ALICE.address, app.nonce())
    assert verify(app, text).status_code == 200
    assert refused(app, text) == (401, "the message's nonce was used before")


def test_a_nonce_is_used_once_at_two_gateways(database: Database, app: AccessApp) -> None:
    with access_app(database) as other:
        text = message_of(ALICE.address, other.nonce())
        assert verify(app, text).status_code == 200  # gateways on one database know each other's nonces
        assert refused(other, text) == (401, "the message's nonce was used before")


def test_a_nonce_ends(app: AccessApp) -> None:
    nonce = app.nonce()
    app.clock.now += NONCE_SECONDS + 1
    text = message_of(ALICE.address, nonce, Issued_At="2026-09-21T13:43:21Z")
    assert refused(app, text) == (401, "the message's nonce has expired")


def test_asking_for_nonces_writes_nothing(app: AccessApp) -> None:
    app.nonce()
    before = app.accounts.database.read(
        lambda connection: connection.exec_driver_sql("SELECT * FROM used_nonces").all()
    )
    assert len({app.nonce() for _ in range(20)}) == 20
    after = app.accounts.database.read(lambda connection: connection.exec_driver_sql("SELECT * FROM used_nonces").all())
    assert before == after == []


def test_a_session_ends(app: AccessApp) -> None:
    text = message_of(ALICE.address, app.nonce(), Expiration_Time="2026-09-21T13:34:20Z")
    token = verify(app, text).json()["token"]
    app.clock.now += 59
    assert app.call("GET", "/v1/account", token).status_code == 200
    app.clock.now += 1
    answer = app.call("GET", "/v1/account", token)
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, "this session has expired")


def test_who_signs_out_ends_that_session_at_once_and_no_other(app: AccessApp) -> None:
    token, other, bobs = app.signed_in(), app.signed_in(), app.signed_in(BOB)
    key = app.key(token)
    assert app.call("POST", "/v1/siwe/logout", token).status_code == 204
    for path, method in (("/v1/account", "GET"), ("/v1/keys", "GET"), ("/v1/siwe/logout", "POST")):
        assert app.call(method, path, token).status_code == 401
    for known in (other, bobs, key):
        assert app.call("GET", "/v1/account", known).status_code == 200


def test_an_api_key_is_not_signed_out(app: AccessApp) -> None:
    key = app.key(app.signed_in())
    assert app.call("POST", "/v1/siwe/logout", key).status_code == 400
    assert app.call("GET", "/v1/account", key).status_code == 200
    assert app.call("POST", "/v1/siwe/logout").status_code == 401


@pytest.mark.parametrize("body", [{}, {"message": "x"}, {"message": 1, "signature": "0x"}, [], {"more": 1}])
def test_a_body_of_another_shape_is_refused(app: AccessApp, body: Any) -> None:
    assert app.call("POST", "/v1/siwe/verify", json=body).status_code == 422


def test_a_crowd_of_strangers_waits_outside(app: AccessApp) -> None:
    text = message_of(ALICE.address, app.nonce())
    app.desk._waiting = 32
    answer = verify(app, text)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    app.desk._waiting = 0
    assert verify(app, text).status_code == 200
