"""The gateway's application over chosen parts alone, and one caller per key, called in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from node.gateway.accounts import ANSWER, READ, Caller, SentProof
from node.gateway.app import build_app
from node.gateway.deps import Deps
from node.gateway.errors import UnauthorizedError
from node.gateway.settings import GatewaySettings

ALICE, BOB, BLIND = "alice-key", "bob-key", "blind-key"
"""Keys: of two accounts, and of one without the scope read."""


@dataclass
class KeyedAccounts:
    """``Accounts`` of tests; nobody pays anything."""

    callers: dict[str, Caller] = field(
        default_factory=lambda: {
            ALICE: Caller("0xAlice", frozenset({READ})),
            BOB: Caller("0xBob", frozenset({READ})),
            BLIND: Caller("0xBlind", frozenset({ANSWER})),
        }
    )

    async def authenticate(self, token: str | None, proof: SentProof | None = None) -> Caller:
        if token not in self.callers:
            raise UnauthorizedError("nobody has this API key", advice="Check it.")
        return self.callers[token]

    async def reserve(self, caller: Caller, answer: str, wei: int) -> Any:
        raise AssertionError("nothing here costs anything")


@asynccontextmanager
async def page_client(**parts: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with these parts of ``Deps``."""
    deps = Deps(cast(Any, None), KeyedAccounts(), **parts)
    transport = httpx.ASGITransport(build_app(deps, GatewaySettings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=300) as client:
        yield client


def keyed(key: str) -> dict[str, str]:
    """The header that presents a key."""
    return {"authorization": f"Bearer {key}"}


def events_in(response: httpx.Response) -> list[tuple[str, Any]]:
    """(name, data) of every event of a stream that has ended."""
    found = []
    for block in response.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((fields.get("event", "message"), json.loads(fields["data"])))
    return found
