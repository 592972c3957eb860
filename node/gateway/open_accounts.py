"""One key that may ask without limits: for tests, and for an operator who says that this is what they want."""

from __future__ import annotations

import asyncio
import hmac
import logging
from dataclasses import dataclass, field
from pathlib import Path

from nexus_chain.errors import NexusError, SettingsError
from node.gateway.accounts import ANSWER, KEYS, READ, Bill, Caller, PaidEvidence, Reservation, SentProof
from node.gateway.errors import UnauthorizedError

log = logging.getLogger(__name__)

SHORTEST_KEY = 16
OPERATOR_CALLER = Caller("operator", frozenset({ANSWER, READ, KEYS}))


@dataclass(eq=False)
class OpenReservation:
    """``bill``: what was paid of ``wei``; None while it is under way, and where nothing was computed."""

    wei: int
    bill: Bill | None = None
    is_over: bool = False

    async def settle(self, bill: Bill, evidence: PaidEvidence | None = None) -> None:
        """See ``Reservation``. Where the evidence cannot be kept, it is paid all the same."""
        if self.is_over:
            return
        if evidence is not None:
            try:
                await asyncio.to_thread(evidence.keep)
            except NexusError as error:
                log.error("The evidence of an answer could not be kept: %s", error)
        self.bill, self.is_over = bill, True

    async def release(self) -> None:
        """See ``Reservation``."""
        self.is_over = True


@dataclass
class SingleKeyAccounts:
    """See ``Accounts``. ``reservations``: those under way, by answer; ``bills``: what was paid, likewise."""

    key: str = field(repr=False)
    caller: Caller = OPERATOR_CALLER
    reservations: dict[str, OpenReservation] = field(default_factory=dict)

    async def authenticate(self, token: str | None, proof: SentProof | None = None) -> Caller:
        """See ``Accounts``."""
        if token is None or not hmac.compare_digest(token.encode(), self.key.encode()):
            raise UnauthorizedError("no such API key", advice="Send the key as `Authorization: Bearer KEY`.")
        return self.caller

    async def reserve(self, caller: Caller, answer: str, wei: int) -> Reservation:
        """See ``Accounts``."""
        caller.require(ANSWER)
        over = [known for known, one in self.reservations.items() if one.is_over]
        for known in over[:-1_000]:  # it runs for ever
            del self.reservations[known]
        made = self.reservations[answer] = OpenReservation(wei)
        return made


def single_key_accounts(file: Path) -> SingleKeyAccounts:
    """Accounts with the key in ``file``. Raises SettingsError."""
    try:
        key = file.read_text().strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read", advice="Give a file that holds the key.") from error
    if len(key) < SHORTEST_KEY:
        raise SettingsError(f"the key in {file} is too short", advice=f"Give {SHORTEST_KEY} characters or more.")
    return SingleKeyAccounts(key)
