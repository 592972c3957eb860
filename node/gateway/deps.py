"""What routes are given: the service, the accounts, and who asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request
from x402.http.constants import PAYMENT_SIGNATURE_HEADER

from node.gateway.access.ledger_accounts import LedgerAccounts
from node.gateway.access.sign_in_desk import SignInDesk
from node.gateway.accounts import Accounts, Caller, SentProof
from node.gateway.answer_checks import AnswerCheckDesk
from node.gateway.auditing.audit_desk import AuditDesk
from node.gateway.auditing.published_certificates import PublishedCertificates
from node.gateway.catalogue import Catalogue, EmptyCatalogue
from node.gateway.errors import NotFoundError
from node.gateway.evidence import Evidence
from node.gateway.explorer.explorer import Explorer
from node.gateway.generation import Service
from node.gateway.learning_panel import LearningPanel
from node.gateway.metrics import GatewayMetrics
from node.gateway.page import BUILT
from node.gateway.page_chain import PageChain
from node.gateway.public_files import PublicFiles
from node.gateway.radar.radar import Radar
from node.gateway.sent_file import new_transfers
from node.gateway.shared_places import SharedPlaces


@dataclass(frozen=True)
class Deps:
    """All that is wired into an application (``app.state.deps``).

    ``sign_in``: None where the gateway offers none. ``evidence``: None where none is kept. ``chain``: what the page
    tells wallets; None where nothing is known of a chain. ``leaving``: set when the gateway stops, for streams that
    would never end. ``audits``, ``learning``: None where its operator wants none; ``certificates``, ``radar``,
    ``explorer``: None without a chain. ``checks``: recomputes answers of other gateways; None where its operator names
    none. ``verifiers``: origins of gateways that recompute this one's answers for its page. ``transfers``: of files,
    models' and archives together. ``page``: folder of the
    page for people, as it was built.
    """

    service: Service
    accounts: Accounts
    sign_in: SignInDesk | None = None
    evidence: Evidence | None = None
    metrics: GatewayMetrics = field(default_factory=GatewayMetrics)
    catalogue: Catalogue = field(default_factory=EmptyCatalogue)
    files: PublicFiles = field(default_factory=PublicFiles)
    transfers: SharedPlaces = field(default_factory=new_transfers)
    chain: PageChain | None = None
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    audits: AuditDesk | None = None
    certificates: PublishedCertificates | None = None
    learning: LearningPanel | None = None
    radar: Radar | None = None
    page: Path = BUILT
    explorer: Explorer | None = None
    checks: AnswerCheckDesk | None = None
    verifiers: tuple[str, ...] = ()


def deps_of(request: Request) -> Deps:
    """What the application was built with."""
    return cast(Deps, request.app.state.deps)


def bearer_of(request: Request) -> str | None:
    """The token that a request presents: Bearer, as OpenAI's clients do, x-api-key as Anthropic's, DPoP as the page."""
    scheme, token = _authorization(request)
    return (token if scheme in ("bearer", "dpop") else request.headers.get("x-api-key", "").strip()) or None


def _authorization(request: Request) -> tuple[str, str]:
    """Scheme, in small letters, and token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower(), token.strip()


def _sent_proof(request: Request) -> SentProof:
    """What the request shows of its session's key, and the address that a proof has to name."""
    desk, url = deps_of(request).sign_in, urlsplit(str(request.url))
    # As callers see it: a proxy in between may have asked for another host.
    seen = urlsplit(desk.terms.uri) if desk is not None else url
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    proofs = tuple(request.headers.getlist("dpop"))
    address = f"{seen.scheme}://{seen.netloc}{path.decode('ascii', 'replace')}"
    return SentProof(_authorization(request)[0], proofs, request.method, address)


async def caller_of(request: Request) -> Caller:
    """Who asks. Raises UnauthorizedError, LimitReachedError."""
    return await deps_of(request).accounts.authenticate(bearer_of(request), _sent_proof(request))


async def paying_caller(request: Request) -> Caller:
    """Who asks for an answer: by a key, or by a payment with the request (x402) where the gateway takes those.

    Raises UnauthorizedError, LimitReachedError, InvalidRequestError.
    """
    token, accounts = bearer_of(request), deps_of(request).accounts
    if token is None and isinstance(accounts, LedgerAccounts):
        caller = accounts.offer_of(request.headers.get(PAYMENT_SIGNATURE_HEADER, ""), str(request.url))
        if caller is not None:
            request.state.payment = caller.payment
            return caller
    return await accounts.authenticate(token, _sent_proof(request))


def ledger_of(request: Request) -> LedgerAccounts:
    """The accounts in the database. Raises NotFoundError where the gateway has none."""
    accounts = deps_of(request).accounts
    if not isinstance(accounts, LedgerAccounts):
        raise NotFoundError("this gateway has one key and no accounts", advice="Use the key that it was started with.")
    return accounts


def sign_in_of(request: Request) -> SignInDesk:
    """Where callers sign in. Raises NotFoundError where the gateway offers it not."""
    desk = deps_of(request).sign_in
    if desk is None:
        raise NotFoundError("this gateway has no sign-in", advice="Ask its operator for an API key.")
    return desk


AppDeps = Annotated[Deps, Depends(deps_of)]
KnownCaller = Annotated[Caller, Depends(caller_of)]
PayingCaller = Annotated[Caller, Depends(paying_caller)]
GatewayLedger = Annotated[LedgerAccounts, Depends(ledger_of)]
GatewayDesk = Annotated[SignInDesk, Depends(sign_in_of)]
