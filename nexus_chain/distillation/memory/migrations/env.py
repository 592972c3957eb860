"""What Alembic runs: the steps, on the connection and in the transaction of ``schema``."""

from __future__ import annotations

from alembic import context

# A table name of our own: on PostgreSQL another program may have its tables, and its numbers, beside ours.
context.configure(
    connection=context.config.attributes["connection"], version_table=context.config.attributes["version_table"]
)
context.run_migrations()
