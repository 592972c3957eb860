"""What routes are given: the service, the accounts, and who asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from node.gateway.accounts import Accounts, Caller
from node.gateway.catalogue import Catalogue, EmptyCatalogue
from node.gateway.generation import Service


@dataclass(frozen=True)
class Deps:
    """All that is wired into an application (``app.state.deps``)."""

    service: Service
    accounts: Accounts
    catalogue: Catalogue = field(default_factory=EmptyCatalogue)


def deps_of(request: Request) -> Deps:
    """What the application was built with."""
    return cast(Deps, request.app.state.deps)


def bearer_of(request: Request) -> str | None:
    """The token that a request presents, as OpenAI's and Ollama's clients (Bearer) or Anthropic's (x-api-key) do."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    found = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
    return found or None


async def caller_of(request: Request) -> Caller:
    """Who asks. Raises UnauthorizedError."""
    return await deps_of(request).accounts.authenticate(bearer_of(request))


AppDeps = Annotated[Deps, Depends(deps_of)]
KnownCaller = Annotated[Caller, Depends(caller_of)]
