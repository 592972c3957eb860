"""The memory of distillation: verified examples, kept once each, searched, exported and proved from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Literal

from sqlalchemy import Connection

from nexus_chain.distillation.memory.compression import CompressionReport, compress_after
from nexus_chain.distillation.memory.database import ExampleDatabase, storage_url
from nexus_chain.distillation.memory.dataset_tree import DatasetTree, ExportedDataset, InclusionProof, write_dataset
from nexus_chain.distillation.memory.embedder import Embedder
from nexus_chain.distillation.memory.errors import PersistenceError
from nexus_chain.distillation.memory.example import TRAINING_CONFIDENCE, TrainingDataset, VerifiedExample
from nexus_chain.distillation.memory.insertion import insert_unknown, known, prepare
from nexus_chain.distillation.memory.memory_statistics import MemoryStatistics, statistics_of
from nexus_chain.distillation.memory.schema import bring_up_to_date
from nexus_chain.distillation.memory.semantic_index import SemanticIndex, add_rows, quantised, unembedded
from nexus_chain.distillation.memory.stored_examples import every_example, examples_by_id
from nexus_chain.distillation.memory.tables import EXAMPLES
from nexus_chain.distillation.memory.word_index import find_words

SAVED_AT_ONCE = 10_000
"""Examples of one transaction of ``save_examples``. Hashes and bands fall on pages everywhere, and each transaction
writes its pages once: small ones write most of the index again and again."""
EMBEDDED_AT_ONCE = 256
SearchBy = Literal["both", "words", "meaning"]
_MOST_FOUND = 1000
_RANK_OFFSET = 60  # Cormack, Clarke, Büttcher 2009: reciprocal rank fusion, k = 60
_DEPTH = 50  # of each ranking that is fused


class CognitivePersistence:
    """An open memory. Any thread may use it, and any number of processes may have it open. ``close`` it in the end.

    Every method raises a PersistenceError where the database is damaged, full, read-only, busy or offline.
    """

    def __init__(self, storage_path: str | Path | None = None, embedder: Embedder | None = None) -> None:
        """Open a memory; make it where there is none, and migrate an older one.

        ``storage_path``: a file, or the URL of a SQLite or PostgreSQL database; None: ``NEXUS_DISTILLATION_MEMORY``, or
        ``distillation/memory.sqlite`` in NEXUS_HOME. ``embedder``: None for a memory that is searched by words alone.
        """
        self._database = ExampleDatabase(storage_url(storage_path))
        self._meaning = SemanticIndex(embedder) if embedder is not None else None
        try:
            bring_up_to_date(self._database)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> CognitivePersistence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Where the memory is, without a password."""
        return self._database.name

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def save_example(self, example: VerifiedExample) -> bool:
        """Keep an example; it is on the disk when this returns.

        False: the memory has it, or a near-duplicate of it (see ``near_duplicates``), and nothing changed.
        Raises ExampleError for a hash that is not that of the texts.
        """
        return self.save_examples([example])[0]

    def save_examples(self, examples: Iterable[VerifiedExample]) -> list[bool]:
        """Keep many; says of each whether it was new. SAVED_AT_ONCE of them are one transaction, whole or not at all.

        After an error the transactions before it stay, and saving all again is safe. Raises as ``save_example``.
        """
        saved: list[bool] = []
        rest = iter(examples)
        while batch := list(islice(rest, SAVED_AT_ONCE)):
            saved += self._database.write(partial(insert_unknown, batch=prepare(batch)))
        return saved

    def is_known(self, example: VerifiedExample) -> bool:
        """Whether ``save_example`` would find it a duplicate now. Raises as ``save_example``."""
        return self._database.read(partial(known, batch=prepare([example])))[0]

    def get_dataset(self, min_confidence: float = TRAINING_CONFIDENCE) -> TrainingDataset:
        """All examples of ``min_confidence`` or more."""
        return TrainingDataset.of(self._examples(min_confidence))

    def export_lora_format(
        self, output_path: str | Path, min_confidence: float = TRAINING_CONFIDENCE
    ) -> ExportedDataset:
        """Write the examples of ``min_confidence`` or more as chat lines (see ``dataset_tree``): all, or no file."""
        return write_dataset(Path(output_path), self._examples(min_confidence))

    def dataset_tree(self, min_confidence: float = TRAINING_CONFIDENCE) -> DatasetTree:
        """The tree over the lines that ``export_lora_format`` writes now."""
        return DatasetTree.of(self._examples(min_confidence))

    def inclusion_proof(self, example: VerifiedExample, min_confidence: float = TRAINING_CONFIDENCE) -> InclusionProof:
        """That ``example`` is in the dataset. For many: ``dataset_tree`` once. Raises ExampleError where it is not."""
        return self.dataset_tree(min_confidence).proof(example)

    def get_statistics(self) -> MemoryStatistics:
        """What the memory holds, in numbers."""
        return self._database.read(statistics_of)

    def search(self, query: str, top_k: int = 10, by: SearchBy = "both") -> list[VerifiedExample]:
        """At most ``top_k`` examples, the best first; 1 to 1000.

        ``by``: "words" (see ``word_index``), "meaning" (nothing without an embedder, or before ``embed_new``), or both
        rankings, fused by reciprocal ranks.
        """
        if not 1 <= top_k <= _MOST_FOUND:
            raise PersistenceError(f"nobody can be given {top_k} examples", advice=f"Ask for 1 to {_MOST_FOUND}.")
        depth = max(top_k, _DEPTH) if by == "both" else top_k
        row = None
        if self._meaning is not None and by != "words" and query.strip():
            row = quantised(self._meaning.embedder.embed([query]))[0]  # before the database is held

        def find(connection: Connection) -> list[VerifiedExample]:
            rankings: list[list[int]] = []
            if by != "meaning":
                rankings.append(find_words(connection, query, depth))
            if self._meaning is not None and row is not None:
                rankings.append(self._meaning.nearest(connection, row, depth))
            ids = fused(rankings)[:top_k]
            found = examples_by_id(connection, ids)
            return [found[number] for number in ids]

        return self._database.read(find)

    def embed_new(self, most: int | None = None) -> int:
        """Embed the examples that have no row yet, at most ``most``, the oldest first; returns how many.

        Saving does not wait for it; until it is done, words find them.
        """
        if self._meaning is None:
            return 0
        embedder, done = self._meaning.embedder, 0
        while most is None or done < most:
            size = EMBEDDED_AT_ONCE if most is None else min(EMBEDDED_AT_ONCE, most - done)
            waiting = self._database.read(partial(unembedded, model=embedder.name, most=size))
            if not waiting:
                break
            rows = quantised(embedder.embed([text for _, text in waiting]))
            numbers = [number for number, _ in waiting]
            self._database.write(partial(add_rows, model=embedder.name, numbers=numbers, rows=rows))
            done += len(waiting)
        return done

    def compress(self, older_than: float) -> CompressionReport:
        """Compress the texts of examples with a timestamp before ``older_than`` (seconds since 1970).

        Every method reads them as before. Room that this frees goes back to the disk.
        """
        total: Counter[str] = Counter()
        last: int | None = 0
        while last is not None:
            last, report = self._database.write(partial(compress_after, last=last, older_than=older_than))
            total.update(vars(report))
        if total["compressed"]:
            self._database.shrink()
        return CompressionReport(total["compressed"], total["bytes_before"], total["bytes_after"])

    def _examples(self, min_confidence: float) -> list[VerifiedExample]:
        condition = EXAMPLES.c.confidence >= min_confidence
        found = self._database.read(lambda connection: list(every_example(connection, condition)))
        return sorted(found, key=lambda example: example.hash)  # here: databases sort text in ways of their own


def fused(rankings: Iterable[Iterable[int]]) -> list[int]:
    """Ids by the sum of 1 / (60 + rank) over the rankings, ranks from 1, the largest first."""
    scores: Counter[int] = Counter()
    for ranking in rankings:
        for rank, number in enumerate(ranking, 1):
            scores[number] += 1 / (_RANK_OFFSET + rank)  # type: ignore[assignment]
    return sorted(scores, key=lambda number: (-scores[number], number))
