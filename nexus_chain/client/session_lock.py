"""One process at a time uses a session; in it, any number of answers at once."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nexus_chain.client.errors import SessionStateError


class SessionLock:
    """A lock file that is held while anybody in this process holds it through the same object.

    ``recover`` is called whenever the file has just been locked: a process before may have been killed.
    """

    def __init__(self, path: Path, session: bytes, recover: Callable[[], None]) -> None:
        self._path, self._session, self._recover = path, session, recover
        self._turn = threading.Lock()
        self._holders = 0
        self._file: IO[str] | None = None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Raises SessionStateError while another process, or another Session object of this one, holds it."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._turn:
            if not self._holders:
                self._file = self._locked_file()
                try:
                    self._recover()
                except BaseException:
                    self._release()
                    raise
            self._holders += 1

    def _leave(self) -> None:
        with self._turn:
            self._holders -= 1
            if not self._holders:
                self._release()

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _locked_file(self) -> IO[str]:
        file = open(self._path, "w")  # noqa: SIM115 (closed by the last who leaves)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise SessionStateError(
                f"another process is asking in session 0x{self._session.hex()}",
                advice="Wait for it, or open a second session.",
            ) from None
        return file
