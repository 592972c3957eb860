"""Examples as they lie in the database: rows in, rows out, compressed or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from nexus_chain.distillation.memory.errors import DamagedStorageError, ExampleError
from nexus_chain.distillation.memory.example import VerifiedExample
from nexus_chain.distillation.memory.packing import unpacked
from nexus_chain.distillation.memory.tables import EXAMPLES, PACKED_TEXTS

_AT_ONCE = 2000  # rows fetched together
_FIELDS = tuple(column for column in EXAMPLES.c if column.name != "id")


def rows_among(connection: Connection, query: str, column: str, values: Sequence[int] | Sequence[str]) -> Iterable[Any]:
    """Rows of ``query`` (SQL without a condition) whose ``column`` is one of ``values``.

    One parameter, however many values there are, and SQL as the driver takes it: duplicates are looked up this way,
    and building the statement would cost more than running it.
    """
    if not values:
        return ()
    if connection.dialect.name == "sqlite":
        statement = f"{query} WHERE {column} IN (SELECT value FROM json_each(?))"
        return connection.exec_driver_sql(statement, (json.dumps(list(values)),))
    return connection.exec_driver_sql(f"{query} WHERE {column} = ANY(%s)", (list(values),))


def whole_examples() -> Select[Any]:
    """All columns of all examples, and what they are compressed to, if they are: for ``example_of``."""
    joined = EXAMPLES.outerjoin(PACKED_TEXTS, PACKED_TEXTS.c.example_id == EXAMPLES.c.id)
    return select(EXAMPLES.c.id, *_FIELDS, PACKED_TEXTS.c.texts).select_from(joined)


_WHOLE_SQL = str(whole_examples())


def example_of(row: Row[Any]) -> VerifiedExample:
    """The example of a row of ``whole_examples``. Raises DamagedStorageError."""
    fields: tuple[Any, ...] = tuple(row)
    number, prompt, response, source, confidence, proof, category, timestamp, digest, packed = fields
    try:
        if packed is not None:
            prompt, response, proof = unpacked(packed)
        return VerifiedExample(prompt, response, source, confidence, proof, category, timestamp, digest)
    except (ExampleError, ValueError) as error:
        raise DamagedStorageError(
            f"the example with the id {number} is damaged", advice="Put a backup in the memory's place."
        ) from error


def every_example(connection: Connection, condition: ColumnElement[bool]) -> Iterator[VerifiedExample]:
    """Examples in no order, a few at a time. Raises DamagedStorageError."""
    asked = whole_examples().where(condition)
    with connection.execute(asked, execution_options={"yield_per": _AT_ONCE}) as rows:
        for row in rows:
            yield example_of(row)


def examples_by_id(connection: Connection, ids: Sequence[int]) -> dict[int, VerifiedExample]:
    """Those examples of ``ids`` that there are. Raises DamagedStorageError."""
    rows = rows_among(connection, _WHOLE_SQL, "verified_examples.id", ids)
    return {row[0]: example_of(row) for row in rows}


def fields_of(number: int, example: VerifiedExample) -> Mapping[str, Any]:
    """A row of the table of examples."""
    return {"id": number, **{column.name: getattr(example, column.name) for column in _FIELDS}}
