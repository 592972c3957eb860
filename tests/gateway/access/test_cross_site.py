"""Another site in the same browser gets nothing: a token is sent by the page that holds it, and by nothing else."""

from __future__ import annotations

import pytest

from tests.support.access_app import ALICE, URI, AccessApp, message_of, signed

pytestmark = pytest.mark.fast

ELSEWHERE = {"origin": "https://elsewhere.example"}


def test_signing_in_leaves_no_cookie(app: AccessApp) -> None:
    text = message_of(ALICE.address, app.nonce())
    answer = app.call("POST", "/v1/siwe/verify", json={"message": text, "signature": signed(text, ALICE)})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "set-cookie" not in app.call("GET", "/v1/siwe/nonce").headers


@pytest.mark.parametrize("name", ["token", "session", "authorization", "Authorization"])
def test_a_token_in_a_cookie_opens_nothing(app: AccessApp, name: str) -> None:
    token = app.signed_in()
    assert app.call("GET", "/v1/account", token).status_code == 200
    for value in (token, f"Bearer%20{token}"):
        answer = app.call("GET", "/v1/account", headers={"cookie": f"{name}={value}"})
        assert answer.status_code == 401
    assert app.call("POST", "/v1/keys", headers={"cookie": f"{name}={token}"}, json={}).status_code == 401


def test_a_token_in_the_address_opens_nothing(app: AccessApp) -> None:
    token = app.signed_in()
    for name in ("token", "access_token", "key"):
        assert app.call("GET", f"/v1/account?{name}={token}").status_code == 401


def test_no_other_site_may_read_an_answer(app: AccessApp) -> None:
    token = app.signed_in()
    for path, who in (("/v1/account", token), ("/v1/siwe/nonce", None)):
        answer = app.call("GET", path, who, headers=ELSEWHERE)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    before = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    asked = app.call("OPTIONS", "/v1/keys", headers=ELSEWHERE | before)
    assert not [name for name in asked.headers if name.startswith("access-control-")]
    assert asked.status_code >= 400


def test_a_message_signed_for_another_site_opens_nothing_here(app: AccessApp) -> None:
    """Phishing: another site passes on this gateway's nonce, and has its own name signed."""
    text = message_of(ALICE.address, app.nonce()).replace(URI.removeprefix("https://"), "gateway.example.evil:8443")
    answer = app.call("POST", "/v1/siwe/verify", json={"message": text, "signature": signed(text, ALICE)})
    assert answer.status_code == 401
    assert "token" not in answer.text
