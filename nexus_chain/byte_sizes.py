"""Amounts of memory as people write and read them: ``512MiB``, ``2 GB``, ``1.5GiB``, plain bytes."""

from __future__ import annotations

import re

from nexus_chain.errors import NexusError

_DECIMAL, _BINARY = 1000, 1024
_UNITS = {"": 1, "b": 1} | {
    f"{letter}{ending}": base ** (power + 1)
    for power, letter in enumerate("kmgt")
    for ending, base in (("", _BINARY), ("b", _DECIMAL), ("ib", _BINARY))
}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


class ByteSizeError(NexusError):
    """A text that is no amount of memory."""


def parse_size(text: str) -> int:
    """Bytes of ``512MiB``, ``512M`` (the same), ``512MB`` (a little less) or ``536870912``. Raises ByteSizeError."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or found[2].lower() not in _UNITS:
        raise ByteSizeError(f"{text!r} is no amount of memory", advice="Write 512MiB, 2GB or a number of bytes.")
    unit = _UNITS[found[2].lower()]
    return int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit


def format_size(size: int) -> str:
    """``size`` bytes for people: 279.0 MiB."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(amount) < _BINARY:
            return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _BINARY
    return f"{amount:.1f} TiB"
