"""The table of examples and its indices, as the design gives them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Make ``verified_examples``."""
    double: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
    op.create_table(
        "verified_examples",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("response", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("confidence", double, nullable=False),
        sa.Column("verification_proof", sa.Text),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("timestamp", double, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    for column in ("confidence", "category", "timestamp"):
        op.create_index(f"idx_{column}", "verified_examples", [column])
    op.create_index("idx_hash", "verified_examples", ["hash"], unique=True)
