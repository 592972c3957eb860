"""How tests wait for other threads and processes: until something holds, with a limit that only a fault reaches."""

from __future__ import annotations

import time
from collections.abc import Callable

WAIT = 240.0  # seconds after which what is waited for will not come; below the limit of a whole test


def wait_until(holds: Callable[[], object], pause: float = 0.01) -> None:
    """Return as soon as ``holds()`` is true; looks every ``pause`` seconds."""
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(pause)
