"""One audit under way: its process, what it has said so far, and whoever follows it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, cast

from nexus_chain.workflows.audit_job import AUDIT_PROCESS, AuditJob

log = logging.getLogger(__name__)

WAITING, RUNNING = "waiting", "running"
PASSED, FAILED, CANCELLED, BROKEN = "passed", "failed", "cancelled", "broken"
"""How an audit stands. ``broken``: it could not be carried out, which says nothing about the certificate."""
_LINE_BYTES = 1 << 20
_PATIENCE = 5.0
"""Seconds that a process has to close what it opened before it is killed."""


@dataclass(frozen=True)
class AuditEvent:
    """``name``: ``place``, ``titles``, ``step``, ``report`` or ``end``; ``data``: JSON values.

    ``place``: in the queue, from 1; 0: its turn has come.
    """

    name: str
    data: Any


class AuditRun:
    """An audit of ``job`` for an account; ``start`` it on the event loop when its turn comes. It ends by itself
    ``seconds`` after that.
    """

    def __init__(
        self, id: str, account: str, job: AuditJob, seconds: float, command: Sequence[str] = AUDIT_PROCESS
    ) -> None:
        self.id, self.account, self.cid = id, account, job.cid
        self.started = time.time()
        self.state = WAITING
        self.events: list[AuditEvent] = []
        self._job, self._seconds, self._command = job, seconds, command
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be said."""
        return self.state not in (WAITING, RUNNING)

    @property
    def report(self) -> Mapping[str, Any] | None:
        """The whole report, as ``nexus audit --json`` writes it; None where there is none (yet)."""
        return next((event.data for event in self.events if event.name == "report"), None)

    def start(self, done: Callable[[AuditRun], None] = lambda _: None) -> None:
        """Begin; ``done`` is called once its process is gone."""
        self.state = RUNNING
        if self.events:
            self._say(AuditEvent("place", 0))
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._note_gone(done))

    def _note_gone(self, done: Callable[[AuditRun], None]) -> None:
        self._end(CANCELLED)  # where it was ended before anything of it ran
        done(self)

    def note_place(self, place: int) -> None:
        """Say which place in the queue it has, where that is another than before."""
        told = AuditEvent("place", place)
        if self.events[-1:] != [told]:
            self._say(told)

    async def cancel(self) -> None:
        """End it, and wait until its process is gone. One that has ended stays as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._end(CANCELLED)  # where its turn had not come

    async def follow(self) -> AsyncIterator[AuditEvent]:
        """What was said so far, then what is said, until it ends."""
        at = 0
        while True:
            changed = self._changed
            while at < len(self.events):
                yield self.events[at]
                at += 1
            if self.has_ended:
                return
            await changed.wait()

    async def _run(self) -> None:
        """INVARIANT: an audit has ended once its process is gone, so none runs that is not counted."""
        try:
            async with asyncio.timeout(self._seconds):
                self._end(*await self._audit())
        except TimeoutError:
            self._end(BROKEN, f"the audit took longer than {self._seconds:.0f} seconds")
        except asyncio.CancelledError:
            self._end(CANCELLED)
            raise
        except Exception:
            log.exception("Audit %s could not be run", self.id)
            self._end(BROKEN, "the audit's process could not be run")

    async def _audit(self) -> tuple[str, str]:
        """How it ended, and why where that is no verdict."""
        # Its temporary files are ours to remove: a process that was killed removes none.
        folder = TemporaryDirectory(prefix="nexus-gateway-audit-", ignore_cleanup_errors=True)
        try:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, env={**os.environ, "TMPDIR": folder.name},
                start_new_session=True, limit=_LINE_BYTES,
            )  # fmt: skip
            try:
                return await self._listen(process)
            finally:
                await _surely(_ended(process))
        finally:
            await _surely(asyncio.to_thread(folder.cleanup))

    async def _listen(self, process: asyncio.subprocess.Process) -> tuple[str, str]:
        requests, said = cast(asyncio.StreamWriter, process.stdin), cast(asyncio.StreamReader, process.stdout)
        with suppress(BrokenPipeError, ConnectionResetError):  # then its output says why, or ends
            requests.write(self._job.to_json())
            await requests.drain()
        async for line in said:
            for name, data in self._parsed(line).items():
                if name == "error":
                    return BROKEN, str(data)
                self._say(AuditEvent(name, data))
                if name == "report":
                    return (PASSED if data["passed"] else FAILED), ""
        return BROKEN, "the audit's process ended before its report"

    def _parsed(self, line: bytes) -> dict[str, Any]:
        """What the process says, without where the operator keeps things; {} for what else a library prints."""
        home = json.dumps(str(self._job.settings.home))[1:-1]
        try:
            found = json.loads(line.decode(errors="replace").replace(home, "NEXUS_HOME"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _say(self, event: AuditEvent) -> None:
        self.events.append(event)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _end(self, state: str, reason: str = "") -> None:
        if not self.has_ended:
            self.state = state
            self._say(AuditEvent("end", {"state": state, "reason": reason}))


async def _surely(work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` to its end, however often whoever waits for it is cancelled meanwhile."""
    doing, cancelled = asyncio.ensure_future(work), False
    while not doing.done():
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError:
            cancelled = True
    doing.result()
    if cancelled:
        raise asyncio.CancelledError


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Let it close what it opened, then end it with all that it started."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
