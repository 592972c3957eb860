"""What a node does again and again beside serving: each duty in a thread of its own, so that none waits for another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from nexus_chain.errors import NexusError

log = logging.getLogger(__name__)


def attempt(duty: Callable[[], object], failure: str) -> None:
    """Do ``duty``; whatever it raises is logged as ``failure``."""
    try:
        duty()
    except NexusError as error:
        log.warning("%s: %s", failure, error)
    except Exception:
        # INVARIANT: whatever an RPC server answers, the next try is made: without it nothing is paid or defended.
        log.exception(failure)


class BackgroundDuty:
    """Attempts ``duty`` every ``interval`` seconds from ``start`` to ``stop``, first after one interval."""

    def __init__(self, name: str, interval: float, duty: Callable[[], object], failure: str) -> None:
        self._interval, self._duty, self._failure = interval, duty, failure
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin the rounds in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End them; a round in progress is finished."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            attempt(self._duty, self._failure)
