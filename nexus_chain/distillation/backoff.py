"""How long to wait before the next attempt: exponential, with jitter, and never less than the server asked for."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Backoff:
    """``attempts``: calls in all, the first included. Times in seconds.

    ``base``: mean wait before the second attempt; it doubles with each one, up to ``longest``. ``patience``: a server
    that asks for more than this is not waited for. ``lot``: a number in [0, 1), so that many clients do not come back
    together.
    """

    attempts: int = 3
    base: float = 0.5
    longest: float = 30.0
    patience: float = 60.0
    lot: Callable[[], float] = field(default=random.random, repr=False)

    def wait(self, failures: int, asked: float | None = None) -> float | None:
        """Seconds after the given number of failures (1 or more); None: do not try again.

        ``asked``: what the server said in Retry-After. The wait is uniform between a half and one and a half of the
        mean.
        """
        if failures >= self.attempts or (asked is not None and asked > self.patience):
            return None
        mean = min(self.longest, self.base * 2.0 ** min(failures - 1, 60))
        return max(asked or 0.0, mean * (0.5 + self.lot()))
