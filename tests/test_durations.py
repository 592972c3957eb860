"""Times as a person says them."""

from __future__ import annotations

import pytest

from nexus_chain.durations import about


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 seconds"),
        (1, "1 second"),
        (89, "89 seconds"),
        (170, "about 3 minutes"),
        (7_199, "about 120 minutes"),
        (10_000, "about 3 hours"),
        (200_000, "about 2 days"),
    ],
)
def test_about(seconds: float, words: str) -> None:
    assert about(seconds) == words
