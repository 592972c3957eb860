"""API keys: what opens what, and that nobody sees or makes more than is theirs."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from node.gateway.access.tokens import KEY_PREFIX
from node.gateway.ledger.tables import API_KEYS, SESSIONS
from tests.support.access_app import ALICE, BOB, START, AccessApp

pytestmark = pytest.mark.fast

NEEDS_SOMEBODY = [("GET", "/v1/account"), ("GET", "/v1/keys"), ("POST", "/v1/keys"), ("DELETE", "/v1/keys/key_1")]


def message(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), NEEDS_SOMEBODY)
@pytest.mark.parametrize("token", [None, "sk-nexus-wrong", "nexus-session-wrong", "x" * 10_000, "sk-nexus-\u00e9", ""])
def test_nobody_sees_or_makes_anything(app: AccessApp, method: str, path: str, token: str | None) -> None:
    body = {"json": {}} if method == "POST" else {}
    assert app.call(method, path, token, **body).status_code == 401


def test_a_key_is_made_shown_once_listed_and_revoked(app: AccessApp) -> None:
    session = app.signed_in()
    made = app.call("POST", "/v1/keys", session, json={"name": "laptop", "wei_per_day": "1000", "expires_in": 60})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    body = made.json()
    secret = body.pop("key")
    assert secret.startswith(KEY_PREFIX)
    assert len(secret) == len(KEY_PREFIX) + 43
    assert body == {
        "object": "api_key",
        "id": body["id"],
        "name": "laptop",
        "scopes": ["answer", "read"],
        "wei_per_day": "1000",
        "requests_per_minute": None,
        "created": int(START),
        "expires": int(START) + 60,
        "revoked": None,
    }
    assert app.call("GET", "/v1/keys", session).json() == {"object": "list", "data": [body]}
    assert app.call("GET", "/v1/account", secret).status_code == 200
    ended = app.call("DELETE", f"/v1/keys/{body['id']}", session)
    assert ended.json() == body | {"revoked": int(START)}
    assert message(app.call("GET", "/v1/account", secret)) == (401, "this API key was revoked")
    app.clock.now += 5
    assert app.call("DELETE", f"/v1/keys/{body['id']}", session).json() == ended.json()


def test_a_key_expires(app: AccessApp) -> None:
    secret = app.key(app.signed_in(), expires_in=60)
    app.clock.now += 59
    assert app.call("GET", "/v1/account", secret).status_code == 200
    app.clock.now += 1
    assert message(app.call("GET", "/v1/account", secret)) == (401, "this API key has expired")


def test_the_database_holds_no_secret(app: AccessApp) -> None:
    session = app.signed_in()
    secret = app.key(session)
    rows = app.accounts.database.read(
        lambda connection: [*connection.execute(select(API_KEYS)), *connection.execute(select(SESSIONS))]
    )
    assert len(rows) == 2
    text = str(rows)
    assert secret not in text
    assert session not in text
    assert secret.removeprefix(KEY_PREFIX) not in text


def test_nobody_sees_or_ends_another_s_keys(app: AccessApp) -> None:
    alice, bob = app.signed_in(ALICE), app.signed_in(BOB)
    theirs = app.call("POST", "/v1/keys", alice, json={}).json()
    assert app.call("GET", "/v1/keys", bob).json()["data"] == []
    mine = app.call("DELETE", f"/v1/keys/{theirs['id']}", bob)
    none = app.call("DELETE", "/v1/keys/key_0000000000000000", bob)
    assert mine.status_code == none.status_code == 404
    assert app.call("GET", "/v1/account", theirs["key"]).json()["account"] == ALICE.address


def test_scopes_are_kept_to(app: AccessApp) -> None:
    session = app.signed_in()
    answering, reading = app.key(session, scopes=["answer"]), app.key(session, scopes=["read", "read"])
    assert message(app.call("GET", "/v1/account", answering)) == (403, "this key has not the scope 'read'")
    assert app.call("GET", "/v1/account", reading).status_code == 200
    for method, path in NEEDS_SOMEBODY[1:]:
        body = {"json": {}} if method == "POST" else {}
        assert message(app.call(method, path, reading, **body)) == (403, "this key has not the scope 'keys'")


def test_no_key_makes_one_that_may_do_more(app: AccessApp) -> None:
    session = app.signed_in()
    keys_only = app.key(session, scopes=["keys"])
    assert app.call("POST", "/v1/keys", keys_only, json={"scopes": ["answer"]}).status_code == 403
    assert app.call("POST", "/v1/keys", keys_only, json={"scopes": ["keys"]}).status_code == 201
    limited = app.key(session, scopes=["keys", "answer"], wei_per_day=5)
    answer = app.call("POST", "/v1/keys", limited, json={"scopes": ["answer"], "wei_per_day": 5})
    assert message(answer) == (403, "a key with limits makes no keys: together they would have none")


def test_no_key_makes_one_that_outlives_it(app: AccessApp) -> None:
    short = app.key(app.signed_in(), scopes=["keys", "answer"], expires_in=60)
    for terms in ({}, {"expires_in": 61}):
        answer = app.call("POST", "/v1/keys", short, json={"scopes": ["answer"], **terms})
        assert message(answer) == (403, "a key makes none that outlives it")
    assert app.call("POST", "/v1/keys", short, json={"scopes": ["answer"], "expires_in": 60}).status_code == 201


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        ({"scopes": ["everything"]}, 400),
        ({"scopes": []}, 400),
        ({"scopes": "answer"}, 422),
        ({"wei_per_day": -1}, 422),
        ({"wei_per_day": 1.5}, 422),
        ({"wei_per_day": "1e3"}, 422),
        ({"wei_per_day": True}, 422),
        ({"wei_per_day": str(2**256)}, 422),
        ({"wei_per_day": str(2**256 - 1)}, 201),
        ({"requests_per_minute": 0}, 422),
        ({"expires_in": 0}, 422),
        ({"name": "x" * 101}, 422),
        ({"unknown": 1}, 422),
    ],
)
def test_terms_are_checked(app: AccessApp, terms: dict[str, Any], status: int) -> None:
    assert app.call("POST", "/v1/keys", app.signed_in(), json=terms).status_code == status


def test_anthropic_s_header_is_a_key_too(app: AccessApp) -> None:
    secret = app.key(app.signed_in())
    assert app.call("GET", "/v1/account", headers={"x-api-key": secret}).status_code == 200


def test_requests_a_minute_are_counted_for_each_key(app: AccessApp) -> None:
    session = app.signed_in()
    first, second = (app.key(session, requests_per_minute=3) for _ in range(2))
    assert [app.call("GET", "/v1/account", first).status_code for _ in range(4)] == [200, 200, 200, 429]
    late = app.call("GET", "/v1/account", first)
    assert message(late) == (429, "the key may make 3 requests a minute")
    assert 1 <= int(late.headers["retry-after"]) <= 60
    assert app.call("GET", "/v1/account", second).status_code == 200
    assert app.call("GET", "/v1/account", session).status_code == 200
