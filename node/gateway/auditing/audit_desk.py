"""Who may have an audit run here, and how many at once: an audit is minutes of this machine's work."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import CidFormatError
from nexus_chain.settings import Settings
from nexus_chain.workflows.audit_job import AUDIT_PROCESS, AuditJob
from node.gateway.accounts import READ, Caller
from node.gateway.auditing.audit_run import AuditRun
from node.gateway.errors import InvalidRequestError, LimitReachedError, NotFoundError, UnavailableError

_AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class AuditLimits:
    """``at_once``: audits under way, over all accounts; each account may have one. ``seconds``: of one audit.

    ``kept``: reports of audits that have ended, the latest; older ones are forgotten.
    """

    at_once: int = 2
    seconds: float = 3_600.0
    kept: int = 64


class AuditDesk:
    """Runs audits with the operator's settings. ``close`` it in the end: audits under way are ended."""

    def __init__(self, settings: Settings, limits: AuditLimits, command: Sequence[str] = AUDIT_PROCESS) -> None:
        self._settings, self._limits, self._command = settings, limits, command
        self._runs: dict[str, AuditRun] = {}
        self._leaving = False

    def begin(self, caller: Caller, cid: str, sample: int) -> AuditRun:
        """Start an audit for a known caller.

        Raises ForbiddenError, InvalidRequestError for what is no CID, LimitReachedError, UnavailableError.
        """
        caller.require(READ)
        try:
            Cid.parse(cid)
        except CidFormatError as error:
            raise InvalidRequestError(error.message, advice=f"{error.advice}.", param="cid") from None
        under_way = [run for run in self._runs.values() if not run.has_ended]
        if any(run.account == caller.account for run in under_way):
            raise LimitReachedError(
                "this account has an audit under way, and may have no more at once",
                advice="Wait until it has ended, or cancel it.",
                retry_after=_AGAIN_SECONDS,
            )
        if self._leaving or len(under_way) >= self._limits.at_once:
            raise UnavailableError(
                "other callers' audits take all of this machine's room for audits",
                advice="Wait, or run `nexus audit CID` on your own machine.",
                retry_after=_AGAIN_SECONDS,
            )
        job = AuditJob(self._settings, cid, sample)
        run = AuditRun(secrets.token_hex(16), caller.account, job, self._limits.seconds, self._command)
        self._runs[run.id] = run
        run.start(lambda _: self._forget())
        return run

    def find(self, caller: Caller, id: str) -> AuditRun:
        """An audit of the caller's account. Raises ForbiddenError, NotFoundError for another's too."""
        caller.require(READ)
        run = self._runs.get(id)
        if run is None or run.account != caller.account:
            raise NotFoundError("there is no such audit of yours", advice="Start it again.")
        return run

    def of(self, caller: Caller) -> list[AuditRun]:
        """The caller's audits, the latest first. Raises ForbiddenError."""
        caller.require(READ)
        return [run for run in reversed(self._runs.values()) if run.account == caller.account]

    async def close(self) -> None:
        """End every audit, and wait until its process is gone."""
        self._leaving = True
        await asyncio.gather(*(run.cancel() for run in list(self._runs.values())))

    def _forget(self) -> None:
        ended = [run.id for run in self._runs.values() if run.has_ended]
        for id in ended[: -self._limits.kept or None]:
            del self._runs[id]
