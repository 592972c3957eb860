"""Who may have an audit run here, and how many at once: an audit is minutes of this machine's work.

An account costs nothing, so accounts without credit could take every turn. They wait behind those that have some, leave
a place free for them, get less time, and are few from one address.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import CidFormatError
from nexus_chain.settings import Settings
from nexus_chain.workflows.audit_job import AUDIT_PROCESS, AuditJob
from node.gateway.accounts import READ, Caller
from node.gateway.auditing.audit_run import RUNNING, WAITING, AuditRun
from node.gateway.errors import InvalidRequestError, LimitReachedError, NotFoundError, UnavailableError
from node.gateway.shared_places import OWN_MACHINE

_AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class AuditLimits:
    """``at_once``: audits under way, over all accounts; one of these places is for accounts with credit, unless it is
    the only one. ``seconds``: of one audit; ``free_seconds``: of one of an account without credit.

    ``waiting``: audits that wait for their turn. Without credit: at most half of these, and ``of_address`` from one
    address. ``kept``: reports of audits that have ended, the latest; older ones are forgotten.
    """

    at_once: int = 2
    seconds: float = 3_600.0
    free_seconds: float = 900.0
    waiting: int = 16
    of_address: int = 2
    kept: int = 64


@dataclass(frozen=True)
class _Turn:
    """An audit with what its turn depends on."""

    run: AuditRun
    has_credit: bool
    address: str


async def everybody_has_credit(account: str) -> bool:
    """Of a gateway without books: its one key is its operator's."""
    return True


class AuditDesk:
    """Runs audits with the operator's settings. ``close`` it in the end: audits under way are ended.

    ``has_credit``: whether an account has any.
    """

    def __init__(
        self,
        settings: Settings,
        limits: AuditLimits,
        command: Sequence[str] = AUDIT_PROCESS,
        has_credit: Callable[[str], Awaitable[bool]] = everybody_has_credit,
    ) -> None:
        self._settings, self._limits, self._command = settings, limits, command
        self.has_credit = has_credit
        self._turns: dict[str, _Turn] = {}
        self._leaving = False

    async def begin(self, caller: Caller, cid: str, sample: int, address: str = OWN_MACHINE) -> AuditRun:
        """Start an audit for a known caller, or have it wait for its turn.

        ``address``: of the caller, see ``remote_address``. Raises ForbiddenError, InvalidRequestError for what is no
        CID, LimitReachedError, UnavailableError.
        """
        caller.require(READ)
        try:
            Cid.parse(cid)
        except CidFormatError as error:
            raise InvalidRequestError(error.message, advice=f"{error.advice}.", param="cid") from None
        has_credit = await self.has_credit(caller.account)
        self._require_room(caller, has_credit, address)
        job = AuditJob(self._settings, cid, sample)
        seconds = self._limits.seconds if has_credit else self._limits.free_seconds
        run = AuditRun(secrets.token_hex(16), caller.account, job, seconds, self._command)
        self._turns[run.id] = _Turn(run, has_credit, address)
        self._go_on()
        return run

    def _require_room(self, caller: Caller, has_credit: bool, address: str) -> None:
        open_turns = [turn for turn in self._turns.values() if not turn.run.has_ended]
        if any(turn.run.account == caller.account for turn in open_turns):
            raise LimitReachedError(
                "this account has an audit under way, or waiting, and may have no more at once",
                advice="Wait until it has ended, or cancel it.",
                retry_after=_AGAIN_SECONDS,
            )
        free = [turn for turn in open_turns if not turn.has_credit]
        beside = sum(turn.address == address for turn in free)
        if not has_credit and address != OWN_MACHINE and beside >= self._limits.of_address:
            raise LimitReachedError(
                f"accounts without credit have {beside} audits from your address",
                advice="Wait until one has ended, or use an account with credit.",
                retry_after=_AGAIN_SECONDS,
            )
        waiting = [turn for turn in (open_turns if has_credit else free) if turn.run.state == WAITING]
        if self._leaving or len(waiting) >= (self._limits.waiting if has_credit else self._limits.waiting // 2):
            raise UnavailableError(
                f"{len(waiting)} audits wait for this machine already",
                advice="Come back later, or run `nexus audit CID` on your own machine.",
                retry_after=_AGAIN_SECONDS,
            )

    def _go_on(self) -> None:
        """Start those whose turn it is, and tell the others their places."""
        if self._leaving:
            return
        waiting = [turn for turn in self._turns.values() if turn.run.state == WAITING]
        waiting.sort(key=lambda turn: not turn.has_credit)
        for turn in list(waiting):
            if self._may_start(turn):
                waiting.remove(turn)
                turn.run.start(lambda _: self._ended())
        for place, turn in enumerate(waiting, 1):
            turn.run.note_place(place)

    def _may_start(self, turn: _Turn) -> bool:
        running = [other for other in self._turns.values() if other.run.state == RUNNING]
        free = sum(not other.has_credit for other in running)
        # INVARIANT: accounts without credit never take the last place, unless it is the only one.
        return len(running) < self._limits.at_once and (turn.has_credit or free < max(1, self._limits.at_once - 1))

    def _ended(self) -> None:
        self._forget()
        self._go_on()

    def find(self, caller: Caller, id: str) -> AuditRun:
        """An audit of the caller's account. Raises ForbiddenError, NotFoundError for another's too."""
        caller.require(READ)
        turn = self._turns.get(id)
        if turn is None or turn.run.account != caller.account:
            raise NotFoundError("there is no such audit of yours", advice="Start it again.")
        return turn.run

    async def cancel(self, caller: Caller, id: str) -> None:
        """End an audit of the caller's account, under way or waiting. Raises as ``find``."""
        await self.find(caller, id).cancel()
        self._ended()

    def of(self, caller: Caller) -> list[AuditRun]:
        """The caller's audits, the latest first. Raises ForbiddenError."""
        caller.require(READ)
        return [turn.run for turn in reversed(self._turns.values()) if turn.run.account == caller.account]

    async def close(self) -> None:
        """End every audit, and wait until its process is gone."""
        self._leaving = True
        await asyncio.gather(*(turn.run.cancel() for turn in list(self._turns.values())))

    def _forget(self) -> None:
        ended = [id for id, turn in self._turns.items() if turn.run.has_ended]
        for id in ended[: -self._limits.kept or None]:
            del self._turns[id]
