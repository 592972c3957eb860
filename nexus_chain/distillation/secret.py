"""A key that no print, log line or traceback shows."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from nexus_chain.distillation.errors import DistillationError
from nexus_chain.log_output import HIDDEN

SHORTEST_SECRET = 8
"""Characters. A shorter one would be found by chance in texts that hold no key."""

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


class SecretError(DistillationError):
    """Raised when a key is missing, cannot be read, or cannot be a key."""


class Secret:
    """An API key. ``reveal`` gives it; nothing else does. It cannot be pickled, and copies of it are itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Raises SecretError for what no HTTP header can carry. The error does not hold the value."""
        if len(value) < SHORTEST_SECRET or not all("!" <= sign <= "~" for sign in value):
            raise SecretError(
                "the key is no API key",
                advice=f"Give at least {SHORTEST_SECRET} printable ASCII characters without spaces or line ends.",
            )
        self._value = value

    @classmethod
    def from_file(cls, path: Path) -> Secret:
        """The key in a file that holds nothing else. Raises SecretError."""
        try:
            text = path.expanduser().read_bytes().decode("ascii")
        except (OSError, ValueError) as error:
            cause = (error.strerror or "no answer") if isinstance(error, OSError) else "it is no plain text"
        else:
            return cls(text.strip())
        raise SecretError(f"the key file {path} cannot be read: {cause}", advice="Write the key alone into that file.")

    @classmethod
    def from_environment(cls, name: str) -> Secret:
        """The key in an environment variable. Raises SecretError."""
        if not _VARIABLE.fullmatch(name):  # somebody who writes the key itself there does not see it again
            raise SecretError("that is no name of a variable for a key", advice="Use A to Z, 0 to 9 and _.")
        value = os.environ.get(name, "").strip()
        if not value:
            raise SecretError(f"the environment variable {name} is not set", advice=f"Set {name} to the key.")
        return cls(value)

    def reveal(self) -> str:
        """The key itself, for the place that sends it."""
        return self._value

    def hide_in(self, text: str) -> str:
        """``text`` with the key blotted out."""
        return text.replace(self._value, HIDDEN)

    def hide_in_bytes(self, data: bytes) -> bytes:
        """``data`` with the key blotted out."""
        return data.replace(self._value.encode(), HIDDEN.encode())

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    __str__ = __repr__

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not written down")
