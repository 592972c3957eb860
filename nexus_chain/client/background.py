"""A thread that does one thing again and again until it is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Repeated:
    """``work`` in a thread of its own, ``seconds()`` after it was begun or done the last time, or when it is woken."""

    def __init__(self, name: str, work: Callable[[], object], seconds: Callable[[], float]) -> None:
        """``work`` deals with its own errors: what it raises is logged, and it is called again all the same."""
        self._work, self._seconds = work, seconds
        self._stop, self._wake = threading.Event(), threading.Event()
        self._lock, self._started = threading.Lock(), False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; a second time changes nothing. Any thread may."""
        with self._lock:
            if not self._started and not self._stop.is_set():
                self._thread.start()
                self._started = True

    def wake(self) -> None:
        """Let the next time come now."""
        self._wake.set()

    def stop(self) -> None:
        """Wait until the work under way is done, and do it no more."""
        with self._lock:
            self._stop.set()
            self._wake.set()
        if self._started:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._seconds())
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                self._work()
            except Exception:
                log.exception("%s failed", self._thread.name)
