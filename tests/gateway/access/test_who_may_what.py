"""The whole application: what answers without a key, and that nothing else does; money's errors as clients see them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from nexus_chain.versions.text_codec import TextCodec
from node.gateway.access import ledger_accounts
from node.gateway.access.api_keys import KeyTerms, make_key, revoke_key
from node.gateway.access.ledger_accounts import LedgerAccounts
from node.gateway.accounts import ANSWER, KEYS, PAY, READ, Caller, PaymentOffer
from node.gateway.app import ROUTERS, build_app
from node.gateway.deps import Deps
from node.gateway.errors import UnauthorizedError
from node.gateway.generation import GenerationRequest
from node.gateway.ledger.books import OPERATOR, post, user
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.settings import GatewaySettings
from tests.support.access_app import START, Clock
from tests.support.scripted_service import CHAT, ENCODER, TEXT, ScriptedAnswer, ScriptedService, scripted_models

pytestmark = pytest.mark.fast

#: What anybody may ask: it costs nothing, belongs to nobody, and changes nothing.
PUBLIC = {
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name:path}"),
    ("GET", "/api/version"),
    ("GET", "/api/tags"),
    ("GET", "/api/ps"),
    ("POST", "/api/show"),
    ("HEAD", "/api/blobs/{digest}"),
    ("POST", "/api/blobs/{digest}"),
    ("DELETE", "/api/delete"),
    ("POST", "/api/copy"),
    ("POST", "/api/create"),
    ("POST", "/api/push"),
    ("GET", "/v1/siwe/nonce"),
    ("POST", "/v1/siwe/verify"),
    # The page, what the chain says to everybody, and files whose hashes the chain holds.
    ("GET", "/app"),
    ("HEAD", "/app"),
    ("GET", "/app/{path:path}"),
    ("HEAD", "/app/{path:path}"),
    ("GET", "/v1/models/{name:path}/files"),
    ("GET", "/v1/models/{name:path}/files/{file}"),
    ("HEAD", "/v1/models/{name:path}/files/{file}"),
    # For readers of other gateways: bounded by address, and only where the operator names those gateways.
    ("OPTIONS", "/v1/verifications"),
    ("POST", "/v1/verifications"),
    ("GET", "/page/network"),
    ("GET", "/page/radar"),
    ("GET", "/page/versions"),
    ("GET", "/page/certificates/{cid}"),
    ("GET", "/explorer/summary"),
    ("GET", "/explorer/models"),
    ("GET", "/explorer/models/{version}"),
    ("GET", "/explorer/nodes"),
    ("GET", "/explorer/nodes/{node}"),
    ("GET", "/explorer/sessions"),
    ("GET", "/explorer/sessions/{session}"),
    ("GET", "/explorer/settlements"),
    ("GET", "/explorer/disputes"),
    ("GET", "/explorer/disputes/{game}"),
    ("GET", "/explorer/events"),
}
EVERY: list[tuple[str, str]] = sorted(
    {(method, route.path) for router in ROUTERS for route in router.routes for method in route.methods}  # type: ignore[attr-defined]
)
MOST = 1_000
"""Wei that an answer of the service here can cost at most."""


class PayingService(ScriptedService):
    """Reserves for each answer, as the real one does."""

    accounts: LedgerAccounts

    async def generate(self, caller: Caller, request: GenerationRequest) -> ScriptedAnswer:
        await self.accounts.reserve(caller, f"answer-{len(self.answers)}", MOST)
        return await super().generate(caller, request)


@dataclass
class Whole:
    """The application on a database, where ``A`` has credit for two answers and a half."""

    app: Any
    accounts: LedgerAccounts

    def call(self, method: str, path: str, token: str | None, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                headers = {} if token is None else {"authorization": f"Bearer {token}"}
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(send())

    def chat(self, token: str | None, path: str = "/v1/chat/completions") -> httpx.Response:
        body = {"model": CHAT, "messages": [{"role": "user", "content": "Hi"}], "stream": False}
        body |= {"options": {"num_predict": 5}} if path.startswith("/api/") else {"max_tokens": 5}
        return self.call("POST", path, token, json=body)

    def key(self, **terms: Any) -> tuple[str, str]:
        """Public id and secret of a new key."""
        maker = Caller("A", frozenset({ANSWER, READ, KEYS}))
        work = partial(make_key, maker=maker, terms=KeyTerms(**terms), now=START)
        key, secret = self.accounts.database.write(work)
        return key.id, secret


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    database = Database(sqlite_url(tmp_path / "gateway.sqlite"))
    credit = {OPERATOR: -2_500, user("A"): 2_500}
    database.write(partial(post, key="credit", kind="test", moves=credit))
    accounts = LedgerAccounts(database, Clock())
    service = PayingService(scripted_models(tmp_path / "models"))
    service.accounts = accounts
    yield Whole(build_app(Deps(service, accounts), GatewaySettings()), accounts)
    accounts.close()
    database.close()


@pytest.mark.parametrize("token", [None, "sk-nexus-wrong", "nexus-session-wrong"])
def test_everything_else_needs_a_key(whole: Whole, token: str | None) -> None:
    asked = [pair for pair in EVERY if pair not in PUBLIC]
    assert len(asked) == len(EVERY) - len(PUBLIC) >= 19
    for method, path in asked:
        answer = whole.call(method, path, token, json={})
        assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_opens_nothing(whole: Whole) -> None:
    key, secret = whole.key()
    assert whole.chat(secret).status_code == 200
    asyncio.run(whole.accounts.write(partial(revoke_key, account="A", key=key, now=START)))
    for method, path in (pair for pair in EVERY if pair not in PUBLIC):
        assert whole.call(method, path, secret, json={}).status_code == 401, path


def test_a_key_whose_revoker_hung_up_opens_nothing_once_it_is_revoked(whole: Whole) -> None:
    """The request that revokes is cancelled while the database writes; another looks the key up meanwhile."""
    key, secret = whole.key()
    writing, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def revoke_slowly(connection: Connection) -> None:
        writing.set()
        go_on.wait(20)
        revoke_key(connection, "A", key, START)
        done.set()

    async def work() -> None:
        revoking = asyncio.ensure_future(whole.accounts.write(revoke_slowly))
        await asyncio.to_thread(writing.wait, 20)
        revoking.cancel()
        await asyncio.sleep(0)
        await whole.accounts.authenticate(secret)
        go_on.set()
        await asyncio.to_thread(done.wait, 20)
        await whole.accounts.ask(lambda: whole.accounts.database.write(lambda _: None))  # the other has been written
        await asyncio.sleep(0.05)
        with pytest.raises(UnauthorizedError):
            await whole.accounts.authenticate(secret)

    asyncio.run(work())


def test_a_key_that_another_gateway_revoked_opens_nothing_after_a_moment(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = whole.key()
    assert whole.chat(secret).status_code == 200
    whole.accounts.database.write(partial(revoke_key, account="A", key=key, now=START))
    monkeypatch.setattr(ledger_accounts, "KNOWN_SECONDS", 0.0)
    assert whole.chat(secret).status_code == 401


def test_a_key_that_may_only_read_asks_nothing(whole: Whole) -> None:
    answer = whole.chat(whole.key(scopes=(READ,))[1])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert whole.call("POST", "/api/pull", whole.key(scopes=(READ,))[1], json={"model": CHAT}).status_code == 403


@pytest.mark.parametrize("more", [{"prompt": ["a", "b"]}, {"prompt": "a", "logprobs": 1}])
def test_a_payment_is_not_taken_for_more_than_one_answer(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    payer = Caller("A", frozenset({PAY}), payment=PaymentOffer("signed", "http://gateway/v1/completions"))
    monkeypatch.setattr(whole.accounts, "offer_of", lambda *_: payer)
    answer = whole.call("POST", "/v1/completions", None, json={"model": TEXT, **more})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")


def test_texts_become_tokens_on_other_threads_than_the_one_that_serves_all(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[threading.Thread] = set()
    for name in ("encode", "encode_plain"):
        real = getattr(TextCodec, name)

        def encode(codec: TextCodec, *words: Any, real: Any = real, **more: Any) -> Any:
            threads.add(threading.current_thread())
            return real(codec, *words, **more)

        monkeypatch.setattr(TextCodec, name, encode)
    secret = whole.key()[1]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/completions", {"model": TEXT, "prompt": "a"}),
        ("/tokenize", {"model": TEXT, "prompt": "a"}),
        ("/v1/embeddings", {"model": ENCODER, "input": "a"}),
        ("/api/embed", {"model": ENCODER, "input": "a"}),
    ]
    for path, body in asked:
        threads.clear()
        assert whole.call("POST", path, secret, json=body).status_code == 200, path
        assert threads, path
        assert threading.current_thread() not in threads, path


def test_exhausted_credit_is_402(whole: Whole) -> None:
    _, secret = whole.key()
    assert [whole.chat(secret).status_code for _ in range(3)] == [200, 200, 402]
    said = whole.chat(secret).json()["error"]
    assert said["code"] == "insufficient_quota"
    assert "this can cost 1000 wei, and the account has 500 wei" in said["message"]
    assert whole.chat(secret, "/v1/messages").status_code == 402
    assert whole.chat(secret, "/api/chat").status_code == 402


def test_a_day_s_limit_is_429_and_says_when(whole: Whole) -> None:
    _, secret = whole.key(wei_per_day=1_500)
    assert whole.chat(secret).status_code == 200
    for path in ("/v1/chat/completions", "/v1/messages", "/api/chat"):
        late = whole.chat(secret, path)
        assert (late.status_code, late.headers["retry-after"]) == (429, str(round(86_400 - START % 86_400)))
    assert whole.chat(whole.key()[1]).status_code == 200


def test_a_database_that_is_gone_is_503(whole: Whole, tmp_path: Path) -> None:
    _, secret = whole.key()
    moved = (tmp_path / "gateway.sqlite").rename(tmp_path / "gone")
    gone = whole.chat(secret)
    assert (gone.status_code, gone.headers["retry-after"]) == (503, "5")
    moved.rename(tmp_path / "gateway.sqlite")
    assert whole.chat(secret).status_code == 200
