"""Draft tables: what is counted, what a file must hold, what the model's own answers make of it."""

from __future__ import annotations

import itertools
import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from nexus_chain.drafting.draft_table import CERTAIN, DRAFT_CONTEXT, SEEN, TABLE_FORMAT, DraftTable, context_keys
from nexus_chain.drafting.errors import DraftTableError
from nexus_chain.drafting.table_making import distil
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.generation import generate
from nexus_chain.program.file_names import DRAFTS_FILE
from nexus_chain.versions.model_files import ModelFiles
from tests.support.live_network import SHAPE, write_model

SHIPPED = Path(__file__).resolve().parents[2] / "nexus_chain" / "models" / "python-stdlib"
HASH = bytes(range(32))


def made(*answers: list[int]) -> DraftTable:
    """The table of some answers after DRAFT_CONTEXT tokens of zero."""
    return DraftTable.of(np.array([[0] * DRAFT_CONTEXT + answer for answer in answers], np.int32))


def known(table: DraftTable, *context: int) -> tuple[int, float] | None:
    return table.get(context_keys(context)[-1])


def test_the_most_frequent_follower_of_a_context_with_its_chance() -> None:
    table = made([1, 2, 1, 2, 1, 3, 1, 2])
    assert known(table, 1) == (2, round(CERTAIN * 3 / 4.5) / CERTAIN)
    assert known(table, 2) == (1, round(CERTAIN * 2 / 2.5) / CERTAIN)
    assert known(table, 3) is None, "what was seen once promises nothing"


def test_a_longer_context_is_kept_where_it_says_something_else() -> None:
    table = made([1, 2, 5, 2, 6, 2, 6, 1, 2, 5])
    assert known(table, 2) == (5, round(CERTAIN * 2 / 4.5) / CERTAIN), "of equals the smallest"
    assert known(table, 6, 2) is None
    assert known(table, 1, 2) is None
    table = made([1, 2, 5, 2, 6, 2, 6, 2, 6, 1, 2, 5])
    assert known(table, 2) == (6, round(CERTAIN * 3 / 5.5) / CERTAIN)
    assert known(table, 1, 2) == (5, round(CERTAIN * 2 / 2.5) / CERTAIN)


@given(st.lists(st.lists(st.integers(0, 2), min_size=12, max_size=12), min_size=1, max_size=6))
@settings(deadline=None)
def test_a_table_is_what_counting_by_hand_gives(answers: list[list[int]]) -> None:
    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for answer in answers:
        text = [0] * DRAFT_CONTEXT + answer
        for place, size in itertools.product(range(DRAFT_CONTEXT, len(text)), range(1, DRAFT_CONTEXT + 1)):
            counts[tuple(text[place - size : place])][text[place]] += 1
    expected: dict[tuple[int, ...], tuple[int, float]] = {}
    for context in sorted(counts, key=len):
        followers, seen = counts[context], sum(counts[context].values())
        token = min(followers, key=lambda one: (-followers[one], one))
        shorter = (expected.get(context[start:]) for start in range(1, len(context)))
        promised = next((found[0] for found in shorter if found), None)
        if seen >= SEEN and token != promised:
            expected[context] = (token, round(CERTAIN * followers[token] / (seen + 0.5)) / CERTAIN)
    table = made(*answers)
    assert len(table) == len(expected)
    assert {context: known(table, *context) for context in expected} == expected


def test_a_file_gives_the_same_table_back_and_two_writes_the_same_bytes(tmp_path: Path) -> None:
    table = made([1, 2, 1, 2, 1, 3, 1, 2])
    for name in ("a", "b"):
        table.write(tmp_path / name, HASH)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    read = DraftTable.read(tmp_path / "a", HASH, 4)
    for name in ("contexts", "tokens", "confidences"):
        assert np.array_equal(getattr(read, name), getattr(table, name))
    assert read.tokens.dtype == np.uint16


def test_large_vocabularies_and_empty_tables(tmp_path: Path) -> None:
    made([70000, 7, 70000, 7, 70000, 7]).write(tmp_path / "large", HASH)
    assert known(DraftTable.read(tmp_path / "large", HASH, 70001), 7) == (70000, round(CERTAIN * 2 / 2.5) / CERTAIN)
    made([1]).write(tmp_path / "empty", HASH)
    assert len(DraftTable.read(tmp_path / "empty", HASH, 1)) == 0


def changed(**tensors: Any) -> Callable[[Path], None]:
    """Writes a good table with some tensors replaced."""

    def write(path: Path) -> None:
        good = {"contexts": np.array([3, 7], np.uint32), "tokens": np.array([1, 2], np.uint16)}
        held = {**good, "confidences": np.array([9, 9], np.uint8), **tensors}
        save_file(
            {name: tensor for name, tensor in held.items() if tensor is not None},
            path,
            {TABLE_FORMAT: HASH.hex()},
        )

    return write


def cut(path: Path) -> None:
    made([1, 2, 1, 2]).write(path, HASH)
    path.write_bytes(path.read_bytes()[:-1])


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (cut, "cannot be read"),
    "no safetensors": (lambda path: path.write_text("drafts"), "cannot be read"),
    "a folder": (lambda path: path.mkdir(), "cannot be read"),
    "other content": (
        lambda path: save_file({"a": np.zeros(1)}, path),
        f"not a draft table of format {TABLE_FORMAT}",
    ),
    "a tensor missing": (changed(tokens=None), f"not a draft table of format {TABLE_FORMAT}"),
    "another tokenizer": (lambda path: made([1, 2, 1, 2]).write(path, bytes(32)), "another tokenizer"),
    "another type": (changed(contexts=np.array([3, 7], np.int64)), "another type"),
    "another shape": (changed(tokens=np.array([[1], [2]], np.uint16)), "another type or shape"),
    "another length": (changed(confidences=np.array([9], np.uint8)), "different lengths"),
    "order": (changed(contexts=np.array([7, 3], np.uint32)), "out of order"),
    "twice": (changed(contexts=np.array([3, 3], np.uint32)), "out of order"),
    "a token too large": (changed(tokens=np.array([1, 300], np.uint16)), "outside of the model's 300"),
    "a negative token": (changed(tokens=np.array([-1, 2], np.int32)), "outside of the model's 300"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_used_is_refused(tmp_path: Path, name: str) -> None:
    write, words = BROKEN[name]
    write(tmp_path / "drafts")
    with pytest.raises(DraftTableError, match=words) as raised:
        DraftTable.read(tmp_path / "drafts", HASH, 300)
    assert "nexus model draft-table" in raised.value.advice


def test_a_folder_whose_table_cannot_be_used_answers_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_model(tmp_path)
    assert ModelFiles(tmp_path).draft_table is None
    assert not caplog.records
    (tmp_path / DRAFTS_FILE).write_text("drafts")
    with caplog.at_level(logging.WARNING):
        assert ModelFiles(tmp_path).draft_table is None
    assert "Answering without a draft table" in caplog.text
    made([1, 2, 1, 2]).write(tmp_path / DRAFTS_FILE, ModelFiles(tmp_path).tokenizer_hash)
    assert ModelFiles(tmp_path).draft_table is not None


# -------------------------------------------------------------------- distillation


def test_a_table_is_distilled_from_greedy_answers_to_pieces_of_the_text(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    engine, half = Engine(model.program, model.weights), SHAPE.context // 2
    texts = [[(7 * place + text) % SHAPE.vocab for place in range(300)] for text in range(3)] + [[1, 2, 3]]
    told: list[tuple[int, int]] = []
    table, answered = distil(engine, texts, 5 * half, lambda done, total: told.append((done, total)))
    assert answered == 5 * half
    assert told == [(5 * half, 5 * half)]
    # Pieces of 64 tokens, four in each text: the first, third, fifth, eighth and tenth of twelve.
    prompts = [texts[n // 4][64 * (n % 4) : 64 * (n % 4) + 64] for n in (0, 2, 4, 7, 9)]
    answers = [prompt[-DRAFT_CONTEXT:] + list(generate([engine], prompt, half)) for prompt in prompts]
    by_hand = DraftTable.of(np.array(answers, np.int32))
    assert np.array_equal(table.contexts, by_hand.contexts)
    assert np.array_equal(table.tokens, by_hand.tokens)
    assert np.array_equal(table.confidences, by_hand.confidences)


def test_a_text_too_short_for_a_piece_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    engine = Engine(model.program, model.weights)
    for texts in ([], [[1] * 63]):
        with pytest.raises(DraftTableError, match="no text has 64 tokens"):
            distil(engine, texts, 100)
