"""The embedded examples that mean most nearly what a query means, by cosine similarity.

The rows lie in the database as 8-bit integers, each scaled so that its largest component is 127: only directions
count. This process keeps them in memory and reads what was added since. Every row is compared: the engine's exact
product of bytes takes a few milliseconds for 100 000 rows of 384.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from nexus_chain.distillation.memory.embedder import Embedder
from nexus_chain.distillation.memory.errors import DamagedStorageError
from nexus_chain.distillation.memory.stored_examples import example_of, whole_examples
from nexus_chain.distillation.memory.tables import EMBEDDING_ROWS, EXAMPLES

_INT8 = npt.NDArray[np.int8]
_F32 = npt.NDArray[np.float32]
_Rows = TypeVar("_Rows", bound=npt.NDArray[Any])


def quantised(rows: npt.NDArray[Any]) -> _INT8:
    """int8[n, width]: each row over its largest magnitude, times 127; a row without direction stays zero."""
    wide = np.asarray(rows, np.float64)
    largest = np.abs(wide).max(axis=1, keepdims=True)
    scaled: _INT8 = np.rint(wide / np.where(largest > 0, largest, 1) * 127).astype(np.int8)
    return scaled


class SemanticIndex:
    """The rows of one embedder. Any thread may use it."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._turn = threading.Lock()
        self._count, self._last = 0, 0
        self._ids: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._rows: _INT8 = np.empty((0, 0), np.int8)
        self._norms: _F32 = np.empty(0, np.float32)

    def nearest(self, connection: Connection, query: _INT8, most: int) -> list[int]:
        """Ids of at most ``most`` examples, the nearest first; none that has nothing in common with the query.

        ``query``: int8[width], from ``quantised``.
        """
        with self._turn:
            self._refresh(connection)
            if not self._count or self._rows.shape[1] != len(query):
                return []
            scores = _products(query, self._rows[: self._count]) / self._norms[: self._count]
            chosen = np.arange(self._count)
            if self._count > most:
                chosen = np.flatnonzero(scores >= _largest(scores, most))  # all of equal ones
            order = np.lexsort((self._ids[chosen], -scores[chosen]))[:most]
            return [int(self._ids[at]) for at in chosen[order] if scores[at] > 0]

    def _refresh(self, connection: Connection) -> None:
        table = EMBEDDING_ROWS.c
        asked = select(table.example_id, table.row).where(table.model == self.embedder.name)
        found = connection.execute(asked.where(table.example_id > self._last).order_by(table.example_id)).all()
        if not found:
            return
        widths = {len(row) for _, row in found} | ({self._rows.shape[1]} if self._count else set())
        if len(widths) > 1:
            raise DamagedStorageError(
                f"the rows of the embedder {self.embedder.name} have several widths",
                advice="Give each embedder a name of its own, and delete this one's rows.",
            )
        rows = np.frombuffer(b"".join(row for _, row in found), np.int8).reshape(len(found), -1)
        norms = np.linalg.norm(rows.astype(np.float32), axis=1)
        norms[norms == 0] = 1
        start, self._count = self._count, self._count + len(found)
        self._rows = _grown(self._rows, rows, start)
        self._norms = _grown(self._norms, norms, start)
        self._ids = _grown(self._ids, np.array([number for number, _ in found], np.int64), start)
        self._last = int(found[-1][0])


def _products(query: _INT8, rows: _INT8) -> _F32:
    """f32[n]: the query's scalar product with each row, exact before it is rounded to float32."""
    import torch  # takes seconds to import, and a memory without an embedder does without

    from nexus_chain.engine.products import exact_product

    found = exact_product()(torch.from_numpy(query)[None], torch.from_numpy(rows))[0]
    return found.numpy().astype(np.float32)


def _largest(scores: _F32, rank: int) -> float:
    """The score at a rank, from 1. Four times as fast as numpy's partition."""
    import torch

    return float(torch.topk(torch.from_numpy(scores), rank).values[-1])


def unembedded(connection: Connection, model: str, most: int) -> list[tuple[int, str]]:
    """Ids and texts to embed of the oldest ``most`` examples that ``model`` has no row of."""
    asked = select(func.max(EMBEDDING_ROWS.c.example_id)).where(EMBEDDING_ROWS.c.model == model)
    last = connection.execute(asked).scalar() or 0
    rows = connection.execute(whole_examples().where(EXAMPLES.c.id > last).order_by(EXAMPLES.c.id).limit(most)).all()
    examples = [(row[0], example_of(row)) for row in rows]
    return [(number, f"{example.prompt}\n{example.response}") for number, example in examples]


def add_rows(connection: Connection, model: str, numbers: Sequence[int], rows: _INT8) -> None:
    """Keep the rows of examples; those that another process has written meanwhile stay."""
    dialect: Callable[..., Any] = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = [
        {"model": model, "example_id": number, "row": row.tobytes()} for number, row in zip(numbers, rows, strict=True)
    ]
    connection.execute(dialect(EMBEDDING_ROWS).on_conflict_do_nothing(), values)


def _grown(old: _Rows, new: _Rows, start: int) -> _Rows:
    """``old`` with ``new`` from row ``start`` on, and room for as many again where it must move."""
    end = start + len(new)
    if end > len(old):
        larger = np.empty((max(end, 2 * len(old)), *new.shape[1:]), new.dtype)
        if start:  # before the first row nobody knows the width
            larger[:start] = old[:start]
        old = larger  # type: ignore[assignment]
    old[start:end] = new
    return old
