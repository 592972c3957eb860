"""Who asks, and whether they can pay: what the service needs to know of accounts.

``access`` finds out who a caller is; ``ledger`` holds what they have. Both are behind these protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from node.gateway.errors import ForbiddenError

ANSWER, READ, KEYS = "answer", "read", "keys"
"""Scopes: ask for answers; read one's receipts and balance; make and revoke keys."""
OPEN_ANSWERS = 16
"""Answers that one account may have under way at a gateway, unless its operator says otherwise."""
PAY = "pay"
"""Scope of a caller without a key: ask for one answer that is paid with the request, and nothing else."""


@dataclass
class PaymentOffer:
    """What a request without a key offers for its answer (x402).

    ``sent``: the payment header as it came, empty where none did. ``resource``: the URL that was asked. ``receipt``:
    the header that tells the caller how the payment ended; set once it is taken.
    """

    sent: str
    resource: str
    receipt: str | None = None


@dataclass(frozen=True)
class SentProof:
    """How a request presents its token, and the proofs (DPoP, RFC 9449) that it carries.

    ``scheme``: of its Authorization, in small letters; empty where the token came otherwise. ``method`` and ``url``:
    what was asked, the URL as callers see it, without query.
    """

    scheme: str
    proofs: tuple[str, ...]
    method: str
    url: str


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request. ``account`` is an EIP-55 address or the operator's own name for it.

    ``key``: public id of the API key, None for a session or a payment. Limits are the key's: wei a day, requests a
    minute and Unix seconds at which it ``expires``, None: none. ``payment``: what a caller without a key offers;
    ``account`` is then the payer, or empty. ``thumbprint``: of the key that a session is bound to.
    """

    account: str
    scopes: frozenset[str]
    key: str | None = None
    wei_per_day: int | None = None
    requests_per_minute: int | None = None
    payment: PaymentOffer | None = field(default=None, compare=False)
    expires: int | None = None
    thumbprint: str | None = None

    def require(self, scope: str) -> None:
        """Raise ForbiddenError unless the caller has ``scope``."""
        if scope not in self.scopes:
            raise ForbiddenError(f"this key has not the scope {scope!r}", advice="Use a key that has it, or sign in.")


@dataclass(frozen=True)
class Bill:
    """What an answer cost, in wei: to its nodes, to the vault, for gas, to the gateway, to the version's publisher.

    ``lost_wei``: what the session paid for it beyond that, or may have to. No caller pays it: the gateway does.
    ``sessions``: what nodes and the vault got of each session, by id.
    """

    nodes_wei: int
    vault_wei: int
    gas_wei: int = 0
    fee_wei: int = 0
    lost_wei: int = 0
    sessions: Mapping[bytes, int] = field(default_factory=dict, compare=False)
    publisher_wei: int = 0

    @property
    def total_wei(self) -> int:
        """What the caller pays."""
        return self.nodes_wei + self.vault_wei + self.publisher_wei + self.gas_wei + self.fee_wei


class PaidEvidence(Protocol):
    """What shows that an answer is worth its bill. Any thread may keep it. Both raise UnavailableError."""

    def add(self, connection: Any) -> None:
        """Write it down in a transaction of the gateway's database that pays the bill, too."""

    def keep(self) -> None:
        """Write it down in a transaction of its own."""


class Reservation(Protocol):
    """Credit that is kept for one answer. Exactly one of the two is called, once; again does nothing."""

    async def settle(self, bill: Bill, evidence: PaidEvidence | None = None) -> None:
        """Pay ``bill`` of it and free the rest. Never more than was reserved. ``evidence`` is kept with it."""

    async def release(self) -> None:
        """Free all of it: nothing was computed."""


class Accounts(Protocol):
    """Raises GatewayError and nothing else on purpose."""

    async def authenticate(self, token: str | None, proof: SentProof | None = None) -> Caller:
        """Who presents ``token``, an API key or a session token. ``proof``: how the request presents it.

        Raises UnauthorizedError, LimitReachedError.
        """

    async def reserve(self, caller: Caller, answer: str, wei: int) -> Reservation:
        """Keep ``wei`` for the answer of that id. Raises PaymentRequiredError, LimitReachedError, ForbiddenError."""
