"""Times as a person says them."""

from __future__ import annotations

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def about(seconds: float) -> str:
    """``seconds`` in words: "40 seconds", "about 3 minutes", "about 2 days"."""
    whole = max(0, round(seconds))
    for name, size in _UNITS:
        if whole >= 2 * size or (name == "minute" and whole >= 90):
            return f"about {_counted(round(whole / size), name)}"
    return _counted(whole, "second")


def _counted(number: int, name: str) -> str:
    return f"{number} {name}" + ("" if number == 1 else "s")
