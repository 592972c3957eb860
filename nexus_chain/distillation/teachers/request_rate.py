"""At most so many requests in any minute, and none while the server wants peace."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

MINUTE = 60.0


class RequestRate:
    """A sliding window: unlike a bucket it never lets twice the rate through. ``clock``: seconds, monotonic."""

    def __init__(self, requests_per_minute: int, clock: Callable[[], float]) -> None:
        self._most = requests_per_minute
        self._clock = clock
        self._taken: deque[float] = deque()
        self._rests_until = float("-inf")
        self._lock = threading.Lock()

    def take(self) -> float:
        """0 where a request may go now, which is counted; else seconds until one may, and nothing is counted."""
        with self._lock:
            now = self._clock()
            while self._taken and now - self._taken[0] >= MINUTE:
                self._taken.popleft()
            wait = self._rests_until - now
            if len(self._taken) >= self._most:
                wait = max(wait, MINUTE - (now - self._taken[0]))  # in this order no rounding makes it more than one
            if wait > 0:
                return wait
            self._taken.append(now)
            return 0.0

    def rest(self, seconds: float) -> None:
        """Let no request through for that time."""
        with self._lock:
            self._rests_until = max(self._rests_until, self._clock() + seconds)
