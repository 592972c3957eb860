"""What is kept once, in one process after another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_chain.distillation.memory import persistence
from nexus_chain.distillation.memory.errors import ExampleError
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from tests.support.memory_examples import example, random_examples

LONG = "A farmer takes the way to the market and sells all that grew in the garden of the old house by the river"


def test_an_example_comes_back_as_it_was(memory: CognitivePersistence) -> None:
    kept = example("Was ist  π²?\n", "≈ 9.8696\n", confidence=0.1 + 0.2, timestamp=1.7e9 + 1 / 3, category="math")
    kept = replace(kept, verification_proof="(check-sat)\n")
    assert memory.save_example(kept)
    assert memory.get_dataset(0.0).examples == (kept,)


def test_a_duplicate_changes_nothing(memory: CognitivePersistence) -> None:
    first = example("What is it?", confidence=0.8)
    assert memory.save_example(first)
    assert not memory.save_example(first)
    assert not memory.save_example(example("what  IS it?", confidence=0.95, source="parrot"))
    assert memory.get_dataset(0.0).examples == (first,)


def test_a_near_duplicate_changes_nothing(memory: CognitivePersistence) -> None:
    assert memory.save_example(example(LONG))
    assert not memory.save_example(example(f"{LONG}!"))
    assert memory.save_example(example(f"{LONG} 2"))
    assert memory.get_dataset(0.0).total_count == 2


def test_duplicates_are_known_after_a_restart(memory_url: str) -> None:
    with CognitivePersistence(memory_url) as first:
        assert first.save_example(example(LONG))
    with CognitivePersistence(memory_url) as second:
        assert second.is_known(example(f"{LONG}!"))
        assert not second.is_known(example("Another one"))
        assert not second.save_example(example(f"{LONG}!"))
        assert second.get_dataset(0.0).total_count == 1


def test_a_batch_says_of_each_whether_it_was_new(memory: CognitivePersistence) -> None:
    known = example("Known before")
    memory.save_example(known)
    batch = [example(LONG), known, example(LONG), example(f"{LONG}?"), example("Last")]
    assert memory.save_examples(batch) == [True, False, False, False, True]
    assert memory.save_examples(batch) == [False] * 5
    assert memory.save_examples([]) == []
    assert memory.get_dataset(0.0).total_count == 3


def test_a_batch_of_several_transactions_is_kept_whole(
    memory: CognitivePersistence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persistence, "SAVED_AT_ONCE", 40)
    examples = random_examples(150)
    assert memory.save_examples(iter([*examples, *examples[:7]])) == [True] * 150 + [False] * 7
    assert set(memory.get_dataset(0.0).examples) == set(examples)


def test_a_hash_that_is_not_the_texts_is_refused(memory: CognitivePersistence) -> None:
    forged = replace(example("One"), hash=example("Other").hash)
    with pytest.raises(ExampleError, match="not that of the texts"):
        memory.save_examples([example("Before"), forged])
    with pytest.raises(ExampleError):
        memory.is_known(forged)
    assert memory.get_dataset(0.0).total_count == 0


def test_the_dataset_is_what_is_good_enough(memory: CognitivePersistence) -> None:
    memory.save_examples([example("low", confidence=0.79), example("edge", confidence=0.8), example("high")])
    assert {one.prompt for one in memory.get_dataset().examples} == {"edge", "high"}
    assert {one.prompt for one in memory.get_dataset(0.9).examples} == {"high"}


def test_statistics_count_what_is_there(memory: CognitivePersistence) -> None:
    empty = memory.get_statistics()
    assert (empty.total_examples, empty.avg_confidence, empty.oldest) == (0, 0.0, None)
    memory.save_examples(
        [
            example("one", category="math", confidence=0.6, timestamp=5.0),
            example("two", category="math", confidence=0.8, timestamp=7.0),
            example("three", category="code", confidence=1.0, timestamp=6.0, source="parrot"),
        ]
    )
    assert memory.embed_new() == 3
    found = memory.get_statistics()
    assert found.avg_confidence == pytest.approx(0.8)
    assert (found.total_examples, found.confident, found.ready_for_training) == (3, 2, False)
    assert (found.categories, found.sources) == ({"code": 1, "math": 2}, {"oracle": 2, "parrot": 1})
    assert (found.oldest, found.newest, found.compressed, found.embedded) == (5.0, 7.0, 0, 3)
    assert found.storage_bytes > 0


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6))
def test_any_text_is_kept_and_known(memory: CognitivePersistence, pairs: list[tuple[str, str]]) -> None:
    examples = [example(prompt, response, category="code") for prompt, response in pairs]
    memory.save_examples(examples)
    assert all(memory.is_known(one) for one in examples)
    hashes = [one.hash for one in memory.get_dataset(0.0).examples]
    assert len(set(hashes)) == len(hashes)
    assert memory.save_examples(examples) == [False] * len(examples)
    for prompt, _ in pairs:
        memory.search(prompt)
