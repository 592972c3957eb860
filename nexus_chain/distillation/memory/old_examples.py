"""Examples of a database that knew neither near-duplicates nor words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from nexus_chain.distillation.memory.errors import DamagedStorageError, ExampleError
from nexus_chain.distillation.memory.example import VerifiedExample
from nexus_chain.distillation.memory.insertion import index_new, prepare
from nexus_chain.distillation.memory.tables import EXAMPLES

_AT_ONCE = 1000


def index_old_examples(connection: Connection) -> None:
    """Give every example today's hash, and index it.

    Of examples that have the same hash now the oldest stays; near-duplicates all stay, for whoever kept them knew no
    better. Raises DamagedStorageError for a row that is no example.
    """
    hashes: dict[str, int] = {}
    last = -1
    while rows := connection.execute(_after(last)).all():
        last = rows[-1][0]
        kept: list[tuple[int, VerifiedExample]] = []
        for row in rows:
            example = _today(row)
            if hashes.setdefault(example.hash, row[0]) == row[0]:
                kept.append((row[0], example))
        _remove(connection, {row[0] for row in rows} - {number for number, _ in kept})
        prepared = prepare([example for _, example in kept])
        index_new(connection, [(number, one) for (number, _), one in zip(kept, prepared, strict=True)])
    _write_hashes(connection, hashes)


def _after(last: int) -> Any:
    return select(EXAMPLES).where(EXAMPLES.c.id > last).order_by(EXAMPLES.c.id).limit(_AT_ONCE)


def _today(row: Row[Any]) -> VerifiedExample:
    number, prompt, response, source, confidence, proof, category, timestamp, _ = tuple(row)
    try:
        made = VerifiedExample.of(
            prompt, response, source=source, confidence=confidence, category=category, timestamp=timestamp
        )
        return replace(made, verification_proof=proof)
    except ExampleError as error:
        raise DamagedStorageError(
            f"the example with the id {number} cannot be taken over: {error}",
            advice="Correct or delete that row; nothing was changed.",
        ) from error


def _remove(connection: Connection, numbers: set[int]) -> None:
    if numbers:
        connection.execute(delete(EXAMPLES).where(EXAMPLES.c.id.in_(numbers)))


def _write_hashes(connection: Connection, hashes: dict[str, int]) -> None:
    """In two rounds: a new hash may be what another row still has as its old one."""
    for prefix in ("new:", ""):
        for digest, number in hashes.items():
            connection.execute(update(EXAMPLES).where(EXAMPLES.c.id == number).values(hash=prefix + digest))
