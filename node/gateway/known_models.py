"""The package's catalogue of models, for a gateway that may fetch them onto its machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from nexus_chain.client.home import ClientHome
from nexus_chain.errors import NexusError
from nexus_chain.workflows.catalogue import CatalogueEntry, catalogue, fetch_model
from nexus_chain.workflows.observer import Advance, TaskObserver
from node.gateway.catalogue import PullProgress, unknown_entry
from node.gateway.errors import UnavailableError

_DONE = PullProgress("success")


class KnownModels:
    """Fetches into ``home``. A caller who leaves ends nothing: the transfer goes on, and the next caller finds it."""

    def __init__(self, home: ClientHome) -> None:
        self._home = home
        # Of its own: a transfer takes minutes, and whoever asks for it again waits here, not where answers are made.
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="nexus-fetch")

    def names(self) -> Sequence[str]:
        """Names of the entries."""
        return tuple(catalogue())

    def pull(self, name: str) -> AsyncIterator[PullProgress]:
        """Fetch the entry of that name. Raises UnknownModelError; the iterator raises UnavailableError."""
        if name not in catalogue():
            raise unknown_entry(name, self.names())
        return self._pull(catalogue()[name])

    async def _pull(self, entry: CatalogueEntry) -> AsyncIterator[PullProgress]:
        yield PullProgress(f"pulling {entry.name}")
        told = _Told(entry, asyncio.get_running_loop())
        fetching = asyncio.get_running_loop().run_in_executor(self._threads, fetch_model, entry, self._home, told)
        fetching.add_done_callback(lambda _: told.latest.put_nowait(None))
        while (progress := await told.latest.get()) is not None:
            yield progress
        try:
            await fetching
        except NexusError as error:
            raise UnavailableError(error.message, advice=error.advice) from error
        yield _DONE


class _Told(TaskObserver):
    """Hands a transfer's progress from its thread to the loop, a per cent at a time."""

    def __init__(self, entry: CatalogueEntry, loop: asyncio.AbstractEventLoop) -> None:
        self.latest: asyncio.Queue[PullProgress | None] = asyncio.Queue()
        self._entry, self._loop, self._said = entry, loop, -1

    @contextmanager
    def stage(self, title: str) -> Iterator[Advance]:
        """A part of the task that counts bytes."""
        yield self._advance

    def _advance(self, done: int, total: int) -> None:
        share = 100 * done // max(1, total)
        if share != self._said:
            self._said = share
            digest = f"sha256:{self._entry.sha256}" if self._entry.sha256 else None
            step = PullProgress(f"pulling {self._entry.name}", digest, total, done)
            with suppress(RuntimeError):  # the loop is gone, and nobody is told any more
                self._loop.call_soon_threadsafe(self.latest.put_nowait, step)
