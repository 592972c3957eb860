"""A log file of bounded length: what others print goes there, and one older part stays beside it."""

from __future__ import annotations

import os
from pathlib import Path

LOG_BYTES = 4 << 20
"""Length at which a log becomes the older part; together they take twice as much."""


class BoundedLog:
    """Appends lines. A log that cannot be written is no reason to stop: its lines are lost."""

    def __init__(self, path: Path, limit: int = LOG_BYTES) -> None:
        self.path, self._limit = path, limit

    def write(self, text: str) -> None:
        """Add ``text``, with the line's end that it has."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_file() and self.path.stat().st_size + len(text) > self._limit:
                self.path.replace(self.path.with_name(self.path.name + ".1"))
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            return
