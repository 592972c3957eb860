"""What a task says while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, int], None]
"""Called with (done, total)."""


class TaskObserver:
    """Told what a task is doing. This one shows nothing; a front overrides what it wants to show."""

    @contextmanager
    def stage(self, title: str) -> Iterator[Advance]:
        """Around a part of a task that may take long; yields what the task calls where it can count."""
        yield lambda done, total: None

    def note(self, line: str) -> None:
        """Something worth knowing, beside the result."""


SILENT = TaskObserver()
