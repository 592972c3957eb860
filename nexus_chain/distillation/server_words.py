"""What a server said, as far as people are shown it."""

from __future__ import annotations

MOST_SHOWN = 200
"""Characters of a server's own words."""


def shown_words(text: str) -> str:
    """The start of ``text`` on one line, without signs that move a terminal's cursor or hide what stands there."""
    return "".join(sign if sign.isprintable() else " " for sign in text[: 4 * MOST_SHOWN])[:MOST_SHOWN].strip()
