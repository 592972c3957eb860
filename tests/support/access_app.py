"""A gateway's routes for accounts on a database of its own, called in this process; its clock is turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from node.gateway.access.ledger_accounts import LedgerAccounts
from node.gateway.access.sign_in import SignInTerms
from node.gateway.access.sign_in_desk import SignInDesk
from node.gateway.deps import Deps
from node.gateway.errors import GatewayError
from node.gateway.ledger.database import Database
from node.gateway.routes import account, api_keys, sign_in

DOMAIN, URI, CHAIN_ID = "gateway.example:8443", "https://gateway.example:8443", 31337
ALICE: LocalAccount = Account.from_key("0x" + "11" * 32)
BOB: LocalAccount = Account.from_key("0x" + "22" * 32)
START = 1_789_997_600.0
"""Unix seconds at which a test begins: 2026-09-21T13:33:20Z."""


class Clock:
    """Unix seconds, as a test says."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def error_response(request: Request, error: Exception) -> JSONResponse:
    """A GatewayError as this test application says it."""
    found = cast(GatewayError, error)
    late = {} if found.retry_after is None else {"retry-after": str(round(found.retry_after))}
    return JSONResponse({"error": {"code": found.code, "message": found.message}}, found.status, found.headers | late)


class AccessApp:
    """Calls are blocking; each has an event loop's turn of its own."""

    def __init__(self, database: Database, provider: Any = None, start: float = START) -> None:
        self.clock = Clock()
        self.clock.now = start
        self.accounts = LedgerAccounts(database, self.clock)
        self.desk = SignInDesk(self.accounts, SignInTerms(DOMAIN, URI, CHAIN_ID, provider))
        self.app = FastAPI()
        self.app.state.deps = Deps(cast(Any, None), self.accounts, self.desk)
        self.app.add_exception_handler(GatewayError, error_response)
        for routes in (account, api_keys, sign_in):
            self.app.include_router(routes.router)

    def call(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        """One request."""
        headers = {} if token is None else {"authorization": f"Bearer {token}".encode("latin-1")}
        return self.call_with(method, path, headers | more.pop("headers", {}), **more)

    def call_with(self, method: str, path: str, headers: Any, **more: Any) -> httpx.Response:
        """One request with these headers and no other of ours."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=URI) as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(send())

    def nonce(self) -> str:
        """A fresh nonce."""
        return str(self.call("GET", "/v1/siwe/nonce").json()["nonce"])

    def signed_in(self, who: LocalAccount = ALICE) -> str:
        """A session token."""
        text = message_of(who.address, self.nonce())
        answer = self.call("POST", "/v1/siwe/verify", json={"message": text, "signature": signed(text, who)})
        return str(answer.json()["token"])

    def key(self, session: str, **terms: Any) -> str:
        """The secret of a new key."""
        return str(self.call("POST", "/v1/keys", session, json=terms).json()["key"])


def message_of(address: str, nonce: str, **changes: str | None) -> str:
    """An EIP-4361 message; ``changes`` replace a line by its name, None leaves one out."""
    lines = {
        "URI": URI,
        "Version": "1",
        "Chain ID": str(CHAIN_ID),
        "Nonce": nonce,
        "Issued At": "2026-09-21T13:33:20Z",
        "Expiration Time": None,
        "Not Before": None,
        "Request ID": None,
    }
    domain, statement = changes.pop("domain", DOMAIN), changes.pop("statement", "I spend my credit here.")
    lines |= {name.replace("_", " "): value for name, value in changes.items()}
    text = "\n".join(f"{name}: {value}" for name, value in lines.items() if value is not None)
    said = "" if statement is None else f"{statement}\n"
    return f"{domain} wants you to sign in with your Ethereum account:\n{address}\n\n{said}\n{text}"


def signed(text: str, who: LocalAccount) -> str:
    """The EIP-191 signature of a text."""
    return str(who.sign_message(encode_defunct(text=text)).signature.to_0x_hex())


@contextmanager
def access_app(database: Database, provider: Any = None, start: float = START) -> Iterator[AccessApp]:
    """An application; its threads end with the block."""
    made = AccessApp(database, provider, start)
    try:
        yield made
    finally:
        made.desk.close()
        made.accounts.close()
