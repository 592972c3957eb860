"""Drafts: what is guessed, how much of it, and when not."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.drafting.draft_table import CERTAIN, DraftTable, context_keys
from nexus_chain.drafting.drafts import LONGEST, PRIOR, REPEATED, WORTH, Drafts


def table(entries: dict[tuple[int, ...], int], confidence: int = CERTAIN) -> DraftTable:
    """What follows each context, with one confidence for all."""
    keyed = sorted((context_keys(context)[-1], token) for context, token in entries.items())
    return DraftTable(
        np.array([key for key, _ in keyed], np.uint32),
        np.array([token for _, token in keyed], np.uint16),
        np.full(len(keyed), confidence, np.uint8),
    )


def test_what_followed_before_is_guessed_again() -> None:
    assert Drafts().propose([1, 2, 3, 4, 5, 6, 1, 2], 3) == [3, 4, 5]


def test_the_longer_context_decides() -> None:
    tokens = [1, 2, 3, 7, 0, 2, 3, 8, 1, 2, 3]
    assert Drafts().propose(tokens, 1) == [7]


def test_a_draft_goes_on_past_the_end_as_it_began() -> None:
    assert Drafts().propose([9, 4, 5, 4, 5, 4, 5], 4) == [4, 5, 4, 5]


def test_without_a_context_there_is_no_draft() -> None:
    drafts = Drafts()
    assert drafts.propose([1, 2, 3, 4, 5], 8) == []
    assert drafts.propose([1, 2, 3, 4, 5, 1], 8) == []


def test_the_table_speaks_where_the_text_is_new() -> None:
    assert Drafts(table({(7, 8): 9, (9,): 10})).propose([1, 7, 8], 5) == [9, 10]
    assert Drafts(table({(8,): 9})).propose([], 5) == []


def test_the_longer_context_decides_between_text_and_table_and_the_text_between_equals() -> None:
    tokens = [1, 2, 3, 4, 5, 1, 2]
    assert Drafts(table({(2,): 8})).propose(tokens, 1) == [3]
    assert Drafts(table({(1, 2): 8})).propose(tokens, 1) == [3]
    assert Drafts(table({(5, 1, 2): 8})).propose(tokens, 1) == [8]


def test_a_draft_ends_where_it_is_hardly_ever_reached() -> None:
    half = round(CERTAIN / 2)
    assert (half / CERTAIN) ** 5 < WORTH < (half / CERTAIN) ** 4
    assert Drafts(table({(1,): 1}, half)).propose([1], 20) == [1, 1, 1, 1]
    assert Drafts(table({(1,): 1})).propose([1], 100) == [1] * LONGEST


def test_a_draft_is_as_long_as_drafts_were_right() -> None:
    drafts, lengths = Drafts(table({(1,): 1}, round(0.85 * CERTAIN))), []
    for right in (25, 0, 0, 0, 1, 1, 1, 31):
        draft = drafts.propose([1], 100)
        lengths.append(len(draft))
        drafts.judge(len(draft), min(right, len(draft)))
    assert lengths == [19, 31, 31, 20, 14, 11, 9, 8]


def test_drafts_that_are_always_wrong_are_given_up_and_a_guess_that_was_right_brings_them_back() -> None:
    drafts, fed = Drafts(table({(token,): 0 for token in range(1, 500)})), 0
    tokens = [1]
    for token in range(2, 300):
        draft = drafts.propose(tokens, 100)
        drafts.judge(len(draft), 0)
        fed += len(draft)
        tokens.append(token)
    assert fed <= 3 * PRIOR * 10
    assert drafts.propose(tokens, 100) == []
    resumed = next(round_ for round_ in range(100) if drafts.propose([*tokens, *[0] * (round_ + 1)], 100))
    assert resumed < 20


def test_trust_is_right_over_expected() -> None:
    drafts = Drafts(table({(1,): 1}))
    assert drafts.trust == 1.0
    assert len(drafts.propose([1], 3)) == 3
    drafts.judge(3, 1)  # one right, one wrong, and the third never came to be judged
    right, expected = (PRIOR * 0.95 + 1) * 0.95, (PRIOR * 0.95 + 1) * 0.95 + 1
    assert drafts.trust == right / expected


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 40), st.data())
@settings(deadline=None)
def test_a_draft_repeats_what_stood_behind_the_longest_context(
    tokens: list[int], most: int, data: st.DataObject
) -> None:
    grown, drafts = tokens[:1], Drafts()
    while len(grown) < len(tokens):
        grown = tokens[: len(grown) + data.draw(st.integers(1, 5))]
        draft = drafts.propose(grown, most)
        assert len(draft) <= min(most, LONGEST)
        if draft:
            sizes = range(len(REPEATED), 1, -1)
            size = next(s for s in sizes if any(grown[i : i + s] == grown[-s:] for i in range(len(grown) - s)))
            places = [i + size for i in range(len(grown) - size) if grown[i : i + size] == grown[-size:]]
            assert draft[0] == grown[places[-1]]
            drafts.judge(len(draft), data.draw(st.integers(0, len(draft))))
