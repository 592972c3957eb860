"""What a memory holds, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Column, Connection, func, select, text

from nexus_chain.distillation.memory.example import TRAINING_CONFIDENCE, TRAINING_EXAMPLES
from nexus_chain.distillation.memory.tables import EMBEDDING_ROWS, EXAMPLES, PACKED_TEXTS


@dataclass(frozen=True)
class MemoryStatistics:
    """``total_examples`` and how many each category and source has; ``compressed``, ``embedded`` by any model.

    ``confident``: examples of TRAINING_CONFIDENCE or more. ``oldest``, ``newest``: seconds since 1970, None for an
    empty memory. ``storage_bytes``: of the database.
    """

    total_examples: int
    avg_confidence: float
    confident: int
    ready_for_training: bool
    categories: Mapping[str, int]
    sources: Mapping[str, int]
    compressed: int
    embedded: int
    oldest: float | None
    newest: float | None
    storage_bytes: int


def statistics_of(connection: Connection) -> MemoryStatistics:
    """The numbers of one state of the database."""
    table = EXAMPLES.c
    totals = select(func.count(), func.avg(table.confidence), func.min(table.timestamp), func.max(table.timestamp))
    total, average, oldest, newest = connection.execute(totals.select_from(EXAMPLES)).one()
    enough = select(func.count()).where(table.confidence >= TRAINING_CONFIDENCE)
    confident = connection.execute(enough).scalar_one()
    embedded = select(func.count(EMBEDDING_ROWS.c.example_id.distinct()))
    return MemoryStatistics(
        total_examples=total,
        avg_confidence=float(average or 0.0),
        confident=confident,
        ready_for_training=confident >= TRAINING_EXAMPLES,
        categories=_counts(connection, table.category),
        sources=_counts(connection, table.source),
        compressed=connection.execute(select(func.count()).select_from(PACKED_TEXTS)).scalar_one(),
        embedded=connection.execute(embedded).scalar_one(),
        oldest=oldest,
        newest=newest,
        storage_bytes=_storage_bytes(connection),
    )


def _counts(connection: Connection, column: Column[str]) -> Mapping[str, int]:
    found = connection.execute(select(column, func.count()).group_by(column).order_by(column))
    return MappingProxyType({str(row[0]): int(row[1]) for row in found})


def _storage_bytes(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        return int(
            connection.execute(
                text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
            ).scalar_one()
        )
    return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
