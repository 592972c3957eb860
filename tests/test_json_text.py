"""Parsing strangers' JSON: the same values as the standard parser, and no text that does harm."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.json_text import DEEPEST, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.booleans())
def test_values_come_back(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_json(text) == value
    if ascii_only:
        assert parse_json(text.encode()) == value


def test_nesting_is_bounded_exactly() -> None:
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)
    for deep in ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), '{"a":' * 10**6, "[" * 10**6):
        with pytest.raises(ValueError, match=f"nested deeper than {DEEPEST}"):
            parse_json(deep)


def test_brackets_in_strings_are_text() -> None:
    for text in ("[" * 100, '"' + "[" * 100, "\\" + "{" * 100, '\\"[' * 100):
        assert parse_json(json.dumps([text]), deepest=1) == [text]


@pytest.mark.parametrize(
    "text", ["", "{", '"', '"\\', '["[[', "NaN", "[Infinity]", "1" * 10**5, b"\xff", b"\xef\xbb\xbf1"]
)
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (its text is the parser's)
        parse_json(text)


@pytest.mark.parametrize("text", ['\\"' * 10**6, '"' + '\\"' * 10**6, '"' * 10**6, "\\" * 10**6])
def test_measuring_takes_linear_time(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError):  # noqa: PT011
        parse_json(text)
    assert time.process_time() - started < 5
