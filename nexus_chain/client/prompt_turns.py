"""Which answers of a session bring nodes their prompts now.

A node keeps few orders of a session that wait for their prompt, and refuses others: an order costs it room for months.
So answers that begin at once take turns, here, instead of being refused there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PROMPTS_AT_ONCE = 8
"""Half of the orders that a node lets wait: a program that was killed may have left some of the others there."""
TURN_LOOK_SECONDS = 0.2
"""How soon an answer that waits notices that nobody wants it any more."""


class PromptTurns:
    """Of one session. Threads may use it at once."""

    def __init__(self, at_once: int = PROMPTS_AT_ONCE) -> None:
        self._free = threading.Semaphore(at_once)

    def turn(self) -> PromptTurn:
        """For one answer."""
        return PromptTurn(self._free)


class PromptTurn:
    """Of one answer, which one thread at a time works on."""

    def __init__(self, free: threading.Semaphore) -> None:
        self._free, self._is_held = free, False

    @contextmanager
    def hold(self, require_wanted: Callable[[], None]) -> Iterator[None]:
        """Wait for a turn; within one that the answer has, go on. Raises what ``require_wanted`` does."""
        if self._is_held:
            yield
            return
        while not self._free.acquire(timeout=TURN_LOOK_SECONDS):
            require_wanted()
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            self._free.release()
