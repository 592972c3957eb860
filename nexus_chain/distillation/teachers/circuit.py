"""A teacher that failed three times in a row is left alone for five minutes; then one call finds out (half-open)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

FAILURES_TO_OPEN = 3
OPEN_SECONDS = 300.0


@dataclass(frozen=True)
class CircuitPass:
    """Leave for one call. ``era``: which closing or opening it belongs to; older results say nothing any more."""

    era: int
    probe: bool


class CircuitBreaker:
    """Counts failures in a row. Every pass ends in exactly one of ``succeeded``, ``failed`` and ``unused``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._era = 0
        self._open_until: float | None = None
        self._probing = False
        self._lock = threading.Lock()

    def enter(self) -> CircuitPass | None:
        """Leave for one call; None while the circuit is open, or while another call probes."""
        with self._lock:
            if self._open_until is None:
                return CircuitPass(self._era, probe=False)
            if self._probing or self._clock() < self._open_until:
                return None
            self._probing = True
            return CircuitPass(self._era, probe=True)

    def succeeded(self, given: CircuitPass) -> None:
        """The teacher answered: the circuit is closed."""
        with self._lock:
            if given.era == self._era:
                self._begin(None)

    def failed(self, given: CircuitPass) -> None:
        """The teacher failed; the third time in a row, or at a probe, the circuit opens."""
        with self._lock:
            if given.era != self._era:
                return
            self._failures += 1
            if given.probe or self._failures >= FAILURES_TO_OPEN:
                self._begin(self._clock() + OPEN_SECONDS)

    def unused(self, given: CircuitPass) -> None:
        """Nothing was learned about the teacher."""
        with self._lock:
            if given.era == self._era and given.probe:
                self._probing = False

    def _begin(self, open_until: float | None) -> None:
        if open_until != self._open_until or self._probing:
            self._era += 1
        self._open_until, self._failures, self._probing = open_until, 0, False
