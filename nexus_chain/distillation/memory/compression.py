"""Old examples' texts in few bytes: their row stays, its texts move, compressed, to a table of their own.

Everything that reads examples reads both. What finds them (hash, bands, words, embeddings) stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from nexus_chain.distillation.memory.packing import packed
from nexus_chain.distillation.memory.tables import EXAMPLES, PACKED_TEXTS

COMPRESSED_AT_ONCE = 2000


@dataclass(frozen=True)
class CompressionReport:
    """``compressed``: examples. ``bytes_before``, ``bytes_after``: of their texts."""

    compressed: int
    bytes_before: int
    bytes_after: int


def compress_after(connection: Connection, last: int, older_than: float) -> tuple[int | None, CompressionReport]:
    """Compress what is older than ``older_than`` of the next examples after the id ``last``.

    Returns the id to go on after, None at the end. A text that would not become shorter stays.
    """
    table = EXAMPLES.c
    unpacked = table.id.not_in(select(PACKED_TEXTS.c.example_id).where(PACKED_TEXTS.c.example_id > last))
    asked = select(table.id, table.prompt, table.response, table.verification_proof)
    asked = asked.where(table.id > last, table.timestamp < older_than, unpacked).order_by(table.id)
    rows = connection.execute(asked.limit(COMPRESSED_AT_ONCE)).all()
    before = after = 0
    moved = []
    for number, prompt, response, proof in rows:
        texts = packed(prompt, response, proof)
        size = sum(len(text.encode()) for text in (prompt, response, proof or ""))
        if len(texts) < size:
            moved.append({"example_id": number, "texts": texts})
            before, after = before + size, after + len(texts)
    if moved:
        connection.execute(insert(PACKED_TEXTS), moved)
        emptied = update(EXAMPLES).where(table.id == bindparam("number"))
        emptied = emptied.values(prompt="", response="", verification_proof=None)
        connection.execute(emptied, [{"number": one["example_id"]} for one in moved])
    following = rows[-1][0] if len(rows) == COMPRESSED_AT_ONCE else None
    return following, CompressionReport(len(moved), before, after)
