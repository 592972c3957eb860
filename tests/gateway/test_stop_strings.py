"""Stop strings: whatever the pieces, the text before the first that is complete, and no character of it later."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.gateway.stop_strings import StopSearch

pytestmark = pytest.mark.fast

LETTERS = st.text("ab\n", max_size=30)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=4)


def shown(pieces: Sequence[str], stops: Sequence[str]) -> tuple[list[str], str | None]:
    search = StopSearch(stops)
    found = [search.push(piece) for piece in pieces]
    return [*found, search.finish()], search.found


def expected(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    """By the definition: character by character, the first string that is complete, the longest of several."""
    for end in range(1, len(text) + 1):
        ended = [stop for stop in stops if text[:end].endswith(stop)]
        if ended:
            longest = max(ended, key=len)
            return text[: end - len(longest)], longest
    return text, None


@given(LETTERS, STOPS, st.data())
def test_any_cut_gives_the_text_before_the_first_stop(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    found, stop = shown(pieces, stops)
    assert ("".join(found), stop) == expected(text, stops)


def test_what_cannot_begin_a_stop_is_not_held_back() -> None:
    assert shown(["he", "llo", " <", "b", "r"], ["<br>"])[0] == ["he", "llo", " ", "", "", "<br"]
    assert shown(["a<", "br", "> more"], ["<br>"]) == (["a", "", "", ""], "<br>")


def test_without_stops_every_piece_passes() -> None:
    assert shown(["a", "", "b"], []) == (["a", "", "b", ""], None)
    assert shown(["a"], [""]) == (["a", ""], None)
