"""Old texts take less room, and everything reads them as before."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from nexus_chain.distillation.memory import compression
from nexus_chain.distillation.memory.compression import CompressionReport
from nexus_chain.distillation.memory.database import ExampleDatabase, storage_url
from nexus_chain.distillation.memory.errors import DamagedStorageError
from nexus_chain.distillation.memory.packing import packed, unpacked
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.distillation.memory.tables import PACKED_TEXTS
from tests.support.memory_examples import example, random_examples

LONG = [
    example(f"{name} " * 200, f"{name} again " * 100, timestamp=moment, verification_proof=proof)
    for name, moment, proof in [("river", 10.0, None), ("bread", 20.0, "(check-sat) " * 9), ("house", 30.0, "p")]
]


def test_every_method_reads_what_is_compressed(memory: CognitivePersistence, tmp_path: Path) -> None:
    memory.save_examples(LONG)
    memory.embed_new()
    before = memory.export_lora_format(tmp_path / "before.jsonl")
    report = memory.compress(older_than=30.0)
    assert report.compressed == memory.get_statistics().compressed == 2
    assert 0 < report.bytes_after < report.bytes_before
    assert set(memory.get_dataset().examples) == set(LONG)
    assert memory.search("river", by="words") == memory.search("river river", 1, by="meaning") == [LONG[0]]
    assert memory.export_lora_format(tmp_path / "after.jsonl").sha256 == before.sha256
    assert memory.inclusion_proof(LONG[0]).root == before.merkle_root
    assert memory.save_examples(LONG) == [False] * 3
    assert not memory.save_example(example("river " * 201, LONG[0].response))
    assert memory.compress(older_than=30.0) == CompressionReport(0, 0, 0)


def test_what_would_not_become_shorter_stays(memory: CognitivePersistence) -> None:
    memory.save_example(example("a", "b"))
    assert memory.compress(older_than=1e12) == CompressionReport(0, 0, 0)
    assert memory.get_dataset().total_count == 1


def test_many_are_compressed_in_steps(memory: CognitivePersistence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "COMPRESSED_AT_ONCE", 7)
    examples = random_examples(50, words=60)
    memory.save_examples(examples)
    assert memory.compress(older_than=40.0).compressed == 40
    assert set(memory.get_dataset(0.0).examples) == set(examples)


def test_room_goes_back_to_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with CognitivePersistence(path) as memory:
        memory.save_examples(example(f"{number} " * 2000, timestamp=1.0) for number in range(60))
        before = memory.get_statistics().storage_bytes
        memory.compress(older_than=2.0)
        after = memory.get_statistics().storage_bytes
        assert after < before
        assert path.stat().st_size == after


@pytest.mark.parametrize("damage", [b"", b"no zlib", packed("p", "r", None)[:-3], packed("p", "r", None) + b"x"])
def test_damaged_texts_are_named(memory_url: str, damage: bytes) -> None:
    with CognitivePersistence(memory_url) as memory:
        memory.save_examples(LONG)
        memory.compress(older_than=15.0)
        database = ExampleDatabase(storage_url(memory_url))
        database.write(lambda connection: connection.execute(update(PACKED_TEXTS).values(texts=damage)))
        database.close()
        with pytest.raises(DamagedStorageError, match="the example with the id 1 is damaged"):
            memory.get_dataset()


@given(st.text(), st.text(), st.none() | st.text())
def test_packed_texts_come_back(prompt: str, response: str, proof: str | None) -> None:
    assert unpacked(packed(prompt, response, proof)) == (prompt, response, proof)
