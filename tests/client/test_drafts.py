"""Drafts: what is guessed, how much of it, and when not."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_chain.client.drafts import LONGEST, LONGEST_PAUSE, PATTERNS, Drafts


def test_what_followed_before_is_guessed_again() -> None:
    assert Drafts().propose([1, 2, 3, 4, 5, 6, 1, 2], 3) == [3, 4, 5]


def test_the_longer_pattern_decides() -> None:
    tokens = [1, 2, 3, 7, 0, 2, 3, 8, 1, 2, 3]
    assert Drafts().propose(tokens, 1) == [7]


def test_a_draft_goes_on_past_the_end_as_it_began() -> None:
    assert Drafts().propose([9, 4, 5, 4, 5, 4, 5], 4) == [4, 5, 4, 5]


def test_without_a_pattern_there_is_no_draft() -> None:
    drafts = Drafts()
    assert drafts.propose([1, 2, 3, 4, 5], 8) == []
    assert drafts.propose([1, 2, 3, 4, 5, 1], 8) == []


def test_drafts_grow_while_they_come_true() -> None:
    drafts, lengths = Drafts(), []
    tokens = [1, 2, 3] * 20
    for _ in range(4):
        draft = drafts.propose(tokens, 100)
        lengths.append(len(draft))
        drafts.judge(len(draft), len(draft))
    assert lengths == [4, 8, LONGEST, LONGEST]


def test_wrong_drafts_pause_longer_and_longer_and_one_right_ends_that() -> None:
    drafts, tokens, asked = Drafts(), [1, 2, 3] * 20, []
    for round_ in range(200):
        draft = drafts.propose(tokens, 100)
        if draft:
            asked.append(round_)
            drafts.judge(len(draft), 0)
    gaps = [b - a for a, b in itertools.pairwise(asked)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (1, LONGEST_PAUSE // 2 + 1)
    while not (draft := drafts.propose(tokens, 100)):
        pass
    drafts.judge(len(draft), 1)
    assert drafts.propose(tokens, 100)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 20), st.data())
@settings(deadline=None)
def test_a_draft_repeats_what_stood_behind_a_pattern(tokens: list[int], most: int, data: st.DataObject) -> None:
    grown, drafts = tokens[:1], Drafts()
    while len(grown) < len(tokens):
        grown = tokens[: len(grown) + data.draw(st.integers(1, 5))]
        draft = drafts.propose(grown, most)
        assert len(draft) <= min(most, LONGEST)
        if draft:
            size = next(s for s in PATTERNS if any(grown[i : i + s] == grown[-s:] for i in range(len(grown) - s)))
            places = [i + size for i in range(len(grown) - size) if grown[i : i + size] == grown[-size:]]
            assert draft[0] == grown[places[-1]]
            drafts.judge(len(draft), data.draw(st.integers(0, len(draft))))
