"""Where serving time goes: seconds by kind of work, counted while it happens."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds spent computing rows, hashing them, signing and checking signatures, and waiting for the disk.

    Work of several threads adds up. ``forward`` counts the engine alone.
    """

    forward: float = 0.0
    commitments: float = 0.0
    signatures: float = 0.0
    disk: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def measure(self, kind: str) -> AbstractContextManager[None]:
        """Add the time the block takes to ``kind``."""
        return _Measured(self, kind)

    def add(self, kind: str, seconds: float) -> None:
        """Add to what was spent on ``kind``."""
        with self._lock:
            setattr(self, kind, getattr(self, kind) + seconds)


class _Measured(AbstractContextManager[None]):
    """A block. A class, as it is entered several times for one token, and a generator costs twice as much."""

    __slots__ = ("_kind", "_start", "_stopwatch")

    def __init__(self, stopwatch: Stopwatch, kind: str) -> None:
        self._stopwatch, self._kind = stopwatch, kind

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stopwatch.add(self._kind, time.perf_counter() - self._start)
