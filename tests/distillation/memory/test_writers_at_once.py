"""Threads and processes that write at once: nothing is lost, no duplicate slips in, a kill leaves all that was said."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from nexus_chain.distillation.memory.persistence import CognitivePersistence
from tests.support.memory_examples import example, random_examples

COUNT = 40

pytestmark = pytest.mark.slow


def writer(url: str, seed: int, count: int) -> subprocess.Popen[str]:
    words = ("-m", "tests.support.memory_writer", url, str(seed), str(count))
    return subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)


def test_processes_that_open_and_write_the_same_at_once_keep_it_once(memory_url: str) -> None:
    """Three write, two of them the same; the file, too, is made by whoever comes first."""
    running = [writer(memory_url, seed, COUNT) for seed in (1, 1, 2)]
    for one in running:
        one.communicate(timeout=240)
    assert [one.returncode for one in running] == [0, 0, 0]
    with CognitivePersistence(memory_url) as memory:
        kept = memory.get_dataset(0.0).examples
        assert len(kept) == 2 * COUNT
        assert set(kept) == {*random_examples(COUNT, 1), *random_examples(COUNT, 2)}


def test_threads_lose_nothing_and_let_no_near_duplicate_in(memory: CognitivePersistence) -> None:
    long = "A farmer takes the way to the market and sells all that grew in the garden of the old house by the river"
    near = [example(long + end) for end in ("", "!", "?", " ;", "...", " today", ":", ",")]
    examples = random_examples(64)

    def save(part: int) -> int:
        own = sum(memory.save_example(one) for one in examples[part::8])
        return own + memory.save_example(near[part])

    with ThreadPoolExecutor(8) as pool:
        saved = sum(pool.map(save, range(8)))
    assert saved == 65
    kept = memory.get_dataset(0.0).examples
    assert len(kept) == 65
    assert set(examples) <= set(kept)
    assert len(set(near) & set(kept)) == 1


def test_readers_do_not_wait_for_writers(memory: CognitivePersistence) -> None:
    examples = random_examples(60)
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(memory.save_examples, examples)
        while not writing.done():
            found = memory.get_dataset(0.0)
            assert set(found.examples) <= set(examples)
        assert writing.result() == [True] * 60


def test_embedding_in_two_threads_keeps_every_row_once(memory: CognitivePersistence) -> None:
    memory.save_examples(random_examples(50))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: memory.embed_new(), range(2)))
    assert memory.get_statistics().embedded == 50
    assert len(memory.search("ba", 50, by="meaning")) <= 50


@pytest.mark.parametrize("promised", [5, 60])
def test_a_killed_writer_leaves_all_that_it_promised(memory_url: str, promised: int) -> None:
    running = writer(memory_url, 3, 5000)
    assert running.stdout is not None
    for line in running.stdout:
        if int(line) >= promised:
            break
    running.kill()
    rest = running.stdout.read().split()
    running.communicate()
    saved = int(rest[-1]) if rest and rest[-1].isdigit() else promised
    with CognitivePersistence(memory_url) as memory:
        kept = memory.get_dataset(0.0)
        assert kept.total_count >= saved - 5
        assert kept.total_count % 5 == 0  # no half transaction
        assert set(kept.examples) == set(random_examples(5000, 3)[: kept.total_count])
        assert all(memory.is_known(one) for one in kept.examples[:20])
        first = random_examples(5000, 3)[: kept.total_count + 5]
        assert memory.save_examples(first) == [False] * kept.total_count + [True] * 5


def test_a_file_of_a_killed_writer_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    running = writer(str(path), 4, 5000)
    assert running.stdout is not None
    running.stdout.readline()
    running.kill()
    running.communicate()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO example_words(example_words) VALUES ('integrity-check')")
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM verified_examples), (SELECT count(DISTINCT example_id) FROM example_bands)"
        ).fetchone()
        assert counts[0] == counts[1] > 0
