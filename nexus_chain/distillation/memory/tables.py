"""The tables of the newest schema. How a database comes to have them: ``migrations``.

No example is ever deleted, and ids are given in the order of commits: one writer works at a time.
What words stand in which example is no table of this kind: see ``word_index``.
"""

from __future__ import annotations

from sqlalchemy import REAL, BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

MEMORY_TABLES = MetaData()

_ID = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER PRIMARY KEY is SQLite's own row number
_DOUBLE: TypeEngine[float] = Double().with_variant(
    REAL(), "sqlite"
)  # REAL has eight bytes there, and four on PostgreSQL

EXAMPLES = Table(
    "verified_examples",
    MEMORY_TABLES,
    Column("id", _ID, primary_key=True, autoincrement=False),
    Column("prompt", Text, nullable=False),
    Column("response", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("confidence", _DOUBLE, nullable=False),
    Column("verification_proof", Text),
    Column("category", Text, nullable=False),
    Column("timestamp", _DOUBLE, nullable=False),
    Column("hash", Text, nullable=False),
)
"""The given table. The texts of a compressed example are empty here: see PACKED_TEXTS."""

Index("idx_confidence", EXAMPLES.c.confidence)
Index("idx_category", EXAMPLES.c.category)
Index("idx_timestamp", EXAMPLES.c.timestamp)
Index("idx_hash", EXAMPLES.c.hash, unique=True)  # the column's UNIQUE and the given index in one

BAND_KEYS = Table(
    "example_bands",
    MEMORY_TABLES,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("example_id", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""The bands of each example's MinHash signature: see ``near_duplicates``."""

PACKED_TEXTS = Table(
    "packed_texts",
    MEMORY_TABLES,
    Column("example_id", _ID, primary_key=True, autoincrement=False),
    Column("texts", LargeBinary, nullable=False),
)
"""Prompt, response and proof of each compressed example: see ``compression``."""

EMBEDDING_ROWS = Table(
    "example_embeddings",
    MEMORY_TABLES,
    Column("model", Text, primary_key=True),
    Column("example_id", BigInteger, primary_key=True, autoincrement=False),
    Column("row", LargeBinary, nullable=False),
)
"""int8[width] of each embedded example. INVARIANT: the embedded examples of a model are the oldest ones."""
