"""What is found by words, by meaning and by both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nexus_chain.distillation.memory import word_index
from nexus_chain.distillation.memory.errors import DamagedStorageError, PersistenceError
from nexus_chain.distillation.memory.persistence import CognitivePersistence, fused
from nexus_chain.distillation.memory.semantic_index import quantised
from tests.support.memory_examples import WordHashEmbedder, example, random_examples

RIVER = example("Where does the river end?", "In the sea, after a long way")
BREAD = example("What is bread made of?", "Flour and water")
BOTH = example("Does a river carry bread?", "A ship on the river does")
CODE = example("Sort a list", "def quick_sort(items):\n    return Sorted(items)", category="code")


@pytest.fixture
def filled(memory: CognitivePersistence) -> CognitivePersistence:
    memory.save_examples([RIVER, BREAD, BOTH, CODE])
    memory.embed_new()
    return memory


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("river", {RIVER, BOTH}),
        ("RIVER, ｓｅａ!", {RIVER, BOTH}),
        ("quick", {CODE}),
        ("sorted", {CODE}),
        ("absent", set()),
        ("", set()),
        ("?!", set()),
    ],
)
def test_words_find_examples_with_any_of_them(filled: CognitivePersistence, query: str, found: set[object]) -> None:
    assert set(filled.search(query, by="words")) == found


def test_the_example_with_more_of_the_words_comes_first(filled: CognitivePersistence) -> None:
    assert filled.search("river bread", by="words")[0] == BOTH
    assert filled.search("river sea", by="words") == [RIVER, BOTH]


@pytest.mark.parametrize(
    "query", ['"', "' OR 1=1 --", "river AND", "NEAR(a b)", "a*", "^", ":", "words:river", "\\", "&|!"]
)
def test_operators_of_query_languages_are_text(filled: CognitivePersistence, query: str) -> None:
    assert set(filled.search(query)) <= {RIVER, BREAD, BOTH, CODE}


def test_words_that_stand_everywhere_give_the_newest(
    memory: CognitivePersistence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_index, "COMMON", 3)
    examples = [example(f"task number {number}", "the answer") for number in range(6)]
    memory.save_examples([*examples, example("task", "elsewhere")])
    assert memory.search("the answer", 2, by="words") == examples[:3:-1]
    assert memory.search("task 2", by="words") == [examples[2]]


def test_meaning_finds_what_lies_in_the_same_direction(filled: CognitivePersistence) -> None:
    assert filled.search("what is bread made of? flour", by="meaning")[0] == BREAD
    assert filled.search("a river", 1, by="meaning") == [BOTH]


def test_both_rankings_are_fused(filled: CognitivePersistence) -> None:
    assert filled.search("does the river end", 2)[0] == RIVER
    assert fused([[1, 2, 3], [3, 2, 4]]) == [3, 2, 1, 4]  # 1/61 + 1/63 is more than 2/62


def test_without_an_embedder_words_alone_are_searched(memory_url: str) -> None:
    with CognitivePersistence(memory_url) as memory:
        memory.save_example(RIVER)
        assert memory.embed_new() == 0
        assert memory.search("river") == [RIVER]
        assert memory.search("river", by="meaning") == []


def test_what_is_not_embedded_yet_is_found_by_words(memory: CognitivePersistence) -> None:
    memory.save_examples([RIVER, BREAD])
    assert memory.embed_new(most=1) == 1
    assert memory.search("bread", by="meaning", top_k=5) in ([], [RIVER])
    assert BREAD in memory.search("bread")
    assert memory.embed_new() == 1
    assert memory.search("bread", 1, by="meaning") == [BREAD]
    assert memory.embed_new() == 0


def test_rows_of_another_process_are_found(memory_url: str) -> None:
    with CognitivePersistence(memory_url, WordHashEmbedder()) as first:
        first.save_example(RIVER)
        first.embed_new()
        assert first.search("bread", by="meaning") in ([], [RIVER])
        with CognitivePersistence(memory_url, WordHashEmbedder()) as second:
            second.save_example(BREAD)
            second.embed_new()
        assert first.search("bread flour water", 1, by="meaning") == [BREAD]


def test_rows_of_another_model_are_never_compared(memory_url: str) -> None:
    with CognitivePersistence(memory_url, WordHashEmbedder()) as first:
        first.save_example(RIVER)
        first.embed_new()
    with CognitivePersistence(memory_url, WordHashEmbedder(width=32, name="narrow")) as second:
        assert second.search("river", by="meaning") == []
        assert second.embed_new() == 1
        assert second.search("river", by="meaning") == [RIVER]


def test_two_embedders_of_one_name_are_noticed(memory_url: str) -> None:
    with CognitivePersistence(memory_url, WordHashEmbedder(width=32)) as first:
        first.save_example(RIVER)
        first.embed_new()
    with CognitivePersistence(memory_url, WordHashEmbedder(width=48)) as second:
        second.save_example(BREAD)
        assert second.embed_new() == 1
        with pytest.raises(DamagedStorageError, match="word-hash have several widths"):
            second.search("river")


def test_the_nearest_of_many_are_those_with_the_largest_cosine(tmp_path: Path) -> None:
    examples, embedder = random_examples(300, words=8), WordHashEmbedder(width=256)
    rows = quantised(embedder.embed([f"{one.prompt}\n{one.response}" for one in examples])).astype(np.float64)
    with CognitivePersistence(tmp_path / "memory.db", embedder) as memory:
        memory.save_examples(examples)
        memory.embed_new()
        for one in examples[::60]:
            scores = rows @ quantised(embedder.embed([one.prompt]))[0] / np.linalg.norm(rows, axis=1)
            expected = [examples[at] for at in np.argsort(-scores)[:5]]
            assert memory.search(one.prompt, 5, by="meaning") == expected


def test_top_k_is_kept_and_bounded(memory: CognitivePersistence) -> None:
    memory.save_examples(example(f"river number {number}") for number in range(20))
    memory.embed_new()
    assert len(memory.search("river")) == 10
    assert len(memory.search("river", 20)) == 20
    assert len(set(memory.search("river", 15))) == 15
    for wrong in (0, -1, 1001):
        with pytest.raises(PersistenceError, match="nobody can be given"):
            memory.search("river", wrong)


def test_rows_are_scaled_to_eight_bits() -> None:
    rows = np.array([[1.0, -2.0, 0.5], [0, 0, 0], [2**31 - 1, 0, -(2**31) + 1]])
    assert quantised(rows).tolist() == [[64, -127, 32], [0, 0, 0], [127, 0, -127]]
    assert quantised(rows.astype(np.int64))[2].tolist() == [127, 0, -127]
