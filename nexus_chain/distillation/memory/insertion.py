"""New examples, and which of them the memory has already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import ARRAY, BigInteger, Connection, func, insert, literal, select

from nexus_chain.distillation.memory.errors import ExampleError
from nexus_chain.distillation.memory.example import VerifiedExample
from nexus_chain.distillation.memory.near_duplicates import Sketch, sketches
from nexus_chain.distillation.memory.stored_examples import examples_by_id, fields_of, rows_among
from nexus_chain.distillation.memory.tables import BAND_KEYS, EXAMPLES
from nexus_chain.distillation.memory.word_index import word_index, words_of

CANDIDATES_COMPARED = 32
"""Examples that one is compared with, those with the most bands in common first."""


@dataclass(frozen=True)
class Prepared:
    """An example with all that is computed of it before the database is held."""

    example: VerifiedExample
    sketch: Sketch
    words: Sequence[str]


def prepare(examples: Sequence[VerifiedExample]) -> list[Prepared]:
    """What ``insert_unknown`` needs. Raises ExampleError for a hash that is not the texts'."""
    texts = [example.normal_texts for example in examples]
    if any(example.hash != normal.hash for example, normal in zip(examples, texts, strict=True)):
        raise ExampleError("the hash is not that of the texts", advice="Make the example with VerifiedExample.of.")
    drawn = sketches(texts)
    return [
        Prepared(example, sketch, words_of(example.prompt, example.response))
        for example, sketch in zip(examples, drawn, strict=True)
    ]


def insert_unknown(connection: Connection, batch: Sequence[Prepared]) -> list[bool]:
    """Insert those that are duplicates of nothing before them, in the database or the batch; says which were."""
    chosen = list(_new(connection, batch))
    numbers = _insert_rows(connection, [batch[at].example for at in chosen])
    index_new(connection, [(number, batch[at]) for number, at in zip(numbers, chosen, strict=True)])
    kept = set(chosen)
    return [at in kept for at in range(len(batch))]


def index_new(connection: Connection, entries: Sequence[tuple[int, Prepared]]) -> None:
    """Add examples that have a row, by their ids, to the bands and to the words."""
    word_index(connection).add(connection, [(number, prepared.words) for number, prepared in entries])
    keys = sorted((key, number) for number, prepared in entries for key in set(prepared.sketch.bands))
    if not keys:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO example_bands(key, example_id) VALUES (?, ?)", keys)
        return
    columns = [func.unnest(literal([pair[side] for pair in keys], ARRAY(BigInteger))) for side in (0, 1)]
    connection.execute(insert(BAND_KEYS).from_select(["key", "example_id"], select(*columns)))


def known(connection: Connection, batch: Sequence[Prepared]) -> list[bool]:
    """Whether each one is a duplicate of something before it, in the database or the batch."""
    new = set(_new(connection, batch))
    return [at not in new for at in range(len(batch))]


def _new(connection: Connection, batch: Sequence[Prepared]) -> Iterator[int]:
    """Places in the batch of those that are duplicates of nothing before them."""
    if not batch:
        return
    hashes = _known_hashes(connection, [prepared.example.hash for prepared in batch])
    stored = _stored_candidates(connection, batch, hashes)
    counts = Counter(chain.from_iterable(prepared.sketch.bands for prepared in batch))
    taken: dict[int, list[int]] = {key: [] for key, count in counts.items() if count > 1}  # by the batch's own
    for at, prepared in enumerate(batch):
        if prepared.example.hash in hashes:
            continue
        shared = [key for key in prepared.sketch.bands if key in taken]
        earlier = _most_common(place for key in shared for place in taken[key])
        others = [*stored.get(at, ()), *(batch[place].sketch for place in earlier)]
        if any(prepared.sketch.is_near(other) for other in others):
            continue
        hashes.add(prepared.example.hash)
        for key in shared:
            taken[key].append(at)
        yield at


def _known_hashes(connection: Connection, hashes: Sequence[str]) -> set[str]:
    return {row[0] for row in rows_among(connection, "SELECT hash FROM verified_examples", "hash", hashes)}


def _stored_candidates(connection: Connection, batch: Sequence[Prepared], hashes: set[str]) -> dict[int, list[Sketch]]:
    """By place in the batch: sketches of the stored examples that share a band with it."""
    new = {at: prepared.sketch.bands for at, prepared in enumerate(batch) if prepared.example.hash not in hashes}
    keys = list(chain.from_iterable(new.values()))
    stored: dict[int, list[int]] = {}
    for key, number in rows_among(connection, "SELECT key, example_id FROM example_bands", "key", keys):
        stored.setdefault(key, []).append(number)
    shared: dict[int, Counter[int]] = {}
    for at, bands in new.items() if stored else ():
        if numbers := [number for key in bands for number in stored.get(key, ())]:
            shared[at] = Counter(numbers)
    near = {at: [number for number, _ in found.most_common(CANDIDATES_COMPARED)] for at, found in shared.items()}
    examples = examples_by_id(connection, sorted({number for found in near.values() for number in found}))
    drawn = dict(zip(examples, sketches([example.normal_texts for example in examples.values()]), strict=True))
    return {at: [drawn[number] for number in found] for at, found in near.items()}


def _most_common(places: Iterable[int]) -> list[int]:
    return [place for place, _ in Counter(places).most_common(CANDIDATES_COMPARED)]


def _insert_rows(connection: Connection, examples: Sequence[VerifiedExample]) -> list[int]:
    """Their ids, which follow the largest there is: nobody else writes in this transaction."""
    if not examples:
        return []
    last = connection.execute(select(func.max(EXAMPLES.c.id))).scalar() or 0
    numbers = list(range(last + 1, last + 1 + len(examples)))
    rows = [fields_of(number, example) for number, example in zip(numbers, examples, strict=True)]
    connection.execute(insert(EXAMPLES), rows)
    return numbers
