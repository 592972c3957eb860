"""Where serving time goes: seconds by kind of work, counted while it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

    @contextmanager
    def measure(self, kind: str) -> Iterator[None]:
        """Add the time the block takes to ``kind``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            with self._lock:
                setattr(self, kind, getattr(self, kind) + spent)
