"""The memory of distillation at 100 000 examples: saving in batches, knowing duplicates, searching.

Examples are random words with the frequencies of a natural language (Zipf), 20 to 60 in the prompt and in the response.
Half of the duplicate checks ask for an example that is there, or one that differs in a sign of punctuation. Queries are
3 to 8 words of an example. Embeddings are those of an embedder that hashes words (its time is not in the figures of
saving), 384 numbers each as MiniLM has them. A check or a search runs alone, one after another.

Writes ``build/bench/memory.json``: ``examples``, ``inserts_per_second``, ``inserts_per_cpu_second`` (by the time that
this process had a core: other work on the machine does not count), ``duplicate_ms.{median,p95}``,
``save_duplicate_ms``, ``words_ms``, ``meaning_ms``, ``search_ms`` (both, fused), each in wall time and, as
``..._cpu``, in time on a core.

    python -m scripts.bench.memory [--examples 100000] [--rounds 300] [--threads 1] [--url URL]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nexus_chain.distillation.memory.example import CATEGORIES, VerifiedExample
from nexus_chain.distillation.memory.persistence import CognitivePersistence, SearchBy
from nexus_chain.errors import NexusError
from scripts.bench.record import ROOT, write_record

REPORT = ROOT / "build" / "bench" / "memory.json"
VOCABULARY, WIDTH = 50_000, 384
CHUNK = 10_000
BARS = {"inserts_per_second": 2000, "duplicate_ms": 1.0, "search_ms": 20.0}


class HashedWords:
    """Sums a fixed random direction for each word, those of frequent words short."""

    name = "bench-hashed-words"

    def __init__(self) -> None:
        self._directions: dict[str, npt.NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """f32[n, 384]."""
        return np.stack([np.sum([self._direction(word) for word in text.split()], axis=0) for text in texts])

    def _direction(self, word: str) -> npt.NDArray[np.float32]:
        if word not in self._directions:
            number = int(word[1:]) if word[1:].isdigit() else VOCABULARY
            draw = np.random.default_rng(zlib.crc32(word.encode())).standard_normal(WIDTH, np.float32)
            self._directions[word] = draw * np.float32(min(1.0, (number + 1) / 1000))
        return self._directions[word]


def made_examples(count: int, draw: random.Random) -> list[VerifiedExample]:
    """Random examples; words are ``w0``, the most frequent, to ``w49999``."""
    weights = np.cumsum(1 / np.arange(1, VOCABULARY + 1)).tolist()
    words = [f"w{number}" for number in range(VOCABULARY)]
    return [
        VerifiedExample.of(
            " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(20, 60))),
            " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(20, 60))),
            source=f"teacher-{draw.randrange(4)}",
            confidence=draw.random(),
            category=draw.choice(CATEGORIES),
            timestamp=float(number),
        )
        for number in range(count)
    ]


def timed(calls: Sequence[Callable[[], object]]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds, of the wall time and of the time on a core."""
    wall, core = [], []
    for call in calls:
        began, worked = time.perf_counter(), time.process_time()
        call()
        wall.append((time.perf_counter() - began) * 1e3)
        core.append((time.process_time() - worked) * 1e3)
    return {
        f"{name}{suffix}": round(value, 3)
        for suffix, taken in (("", wall), ("_cpu", core))
        for name, value in (("median", statistics.median(taken)), ("p95", statistics.quantiles(taken, n=20)[-1]))
    }


def fill(memory: CognitivePersistence, examples: Sequence[VerifiedExample]) -> dict[str, float]:
    """Save all; what that took."""
    began, worked = time.perf_counter(), time.process_time()
    for start in range(0, len(examples), CHUNK):
        memory.save_examples(examples[start : start + CHUNK])
        done = min(start + CHUNK, len(examples))
        print(f"{done} saved, {done / (time.perf_counter() - began):.0f} per second", file=sys.stderr)
    return {
        "inserts_per_second": round(len(examples) / (time.perf_counter() - began), 1),
        "inserts_per_cpu_second": round(len(examples) / (time.process_time() - worked), 1),
    }


def asked_again(examples: Sequence[VerifiedExample], rounds: int, draw: random.Random) -> list[VerifiedExample]:
    """New examples, and as many that are there, every second of them with another punctuation."""
    known = draw.sample(examples, rounds - rounds // 2)
    near = [_punctuated(one) if number % 2 else one for number, one in enumerate(known)]
    asked = [*made_examples(rounds // 2, draw), *near]
    draw.shuffle(asked)
    return asked


def _punctuated(one: VerifiedExample) -> VerifiedExample:
    made = VerifiedExample.of(
        f"{one.prompt}.", one.response, source=one.source, confidence=one.confidence, category=one.category
    )
    return replace(made, timestamp=one.timestamp)


def queries(examples: Sequence[VerifiedExample], rounds: int, draw: random.Random) -> list[str]:
    """Neighbouring words of examples."""
    found = []
    for one in draw.sample(examples, rounds):
        words = one.prompt.split()
        start = draw.randrange(len(words) - 8)
        found.append(" ".join(words[start : start + draw.randint(3, 8)]))
    return found


def measure(url: str | Path, count: int, rounds: int) -> dict[str, object]:
    """All figures of a new memory at ``url``."""
    draw = random.Random(16)
    examples = made_examples(count, draw)
    with CognitivePersistence(url, HashedWords()) as memory:
        figures: dict[str, object] = {"examples": count, "database": "sqlite" if "://" not in str(url) else "server"}
        figures |= fill(memory, examples)
        asked = asked_again(examples, rounds, draw)
        memory.is_known(asked[0])
        figures["duplicate_ms"] = timed([partial(memory.is_known, one) for one in asked])
        again = draw.sample(examples, rounds)
        figures["save_duplicate_ms"] = timed([partial(memory.save_example, one) for one in again])
        began = time.perf_counter()
        memory.embed_new()
        print(f"embedded in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        texts = queries(examples, rounds, draw)
        kinds: dict[str, SearchBy] = {"words_ms": "words", "meaning_ms": "meaning", "search_ms": "both"}
        for name, by in kinds.items():
            memory.search(texts[0], by=by)
            figures[name] = timed([partial(memory.search, text, by=by) for text in texts])
        figures["storage_bytes"] = memory.get_statistics().storage_bytes
    return figures


def main() -> int:
    """Run the bench; returns 1 where the memory could not be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=300, help="checks and searches of each kind")
    parser.add_argument("--threads", type=int, default=1, help="of the product of bytes; two wait for each other")
    parser.add_argument("--url", help="an empty PostgreSQL database instead of a SQLite file; nothing is recorded then")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(given.url or Path(folder) / "memory.sqlite", given.examples, given.rounds)
    except NexusError as error:
        print(f"bench failed: {error}", file=sys.stderr)
        return 1
    if not given.url:
        write_record(REPORT, {**figures, "bars": BARS})
    for name, found in figures.items():
        print(f"{name:24} {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
