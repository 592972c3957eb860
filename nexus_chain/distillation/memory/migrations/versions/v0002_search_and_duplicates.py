"""Tables for near-duplicates, words, embeddings and compressed texts; what there is already is indexed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from nexus_chain.distillation.memory.old_examples import index_old_examples
from nexus_chain.distillation.memory.word_index import word_index

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables, and fill them from ``verified_examples``."""
    op.create_table(
        "example_bands",
        sa.Column("key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("example_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "packed_texts",
        sa.Column(
            "example_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("texts", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "example_embeddings",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("example_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("row", sa.LargeBinary, nullable=False),
    )
    word_index(op.get_bind()).create(op.get_bind())
    index_old_examples(op.get_bind())
