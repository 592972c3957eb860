"""The schema of a database: today's, an older one that is migrated, or a newer one that is refused."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from nexus_chain.distillation.errors import MissingPackageError
from nexus_chain.distillation.memory.database import ExampleDatabase
from nexus_chain.distillation.memory.errors import NewerSchemaError
from nexus_chain.distillation.memory.storage_faults import damaged
from nexus_chain.distillation.memory.tables import EXAMPLES

NEWEST = "0002"
"""The last step in ``migrations/versions``."""
GIVEN = "0001"
"""The schema of a database that nobody numbered: the design's table."""
NUMBER_TABLE = "memory_schema"
MIGRATIONS = Path(__file__).parent / "migrations"


def bring_up_to_date(database: ExampleDatabase) -> None:
    """Give ``database`` today's schema, in one transaction.

    Raises NewerSchemaError, MissingPackageError and PersistenceError; then nothing was changed.
    """
    if database.read(_schema_number) != NEWEST:
        database.write(lambda connection: _migrate(connection, database.name))


def _schema_number(connection: Connection) -> str | None:
    """None: the database has no number."""
    if not inspect(connection).has_table(NUMBER_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {NUMBER_TABLE}")).scalar()
    return None if found is None else str(found)


def _migrate(connection: Connection, name: str) -> None:
    number = _schema_number(connection)  # again: another process may have been faster
    if number == NEWEST:
        return
    tables = set(inspect(connection).get_table_names())
    if number is None and tables and EXAMPLES.name not in tables and connection.dialect.name == "sqlite":
        raise damaged(name)  # somebody else's file; on PostgreSQL several programs may share a database
    try:
        # The extra's, and slow to import: a database of today's schema does without.
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory
    except ImportError as error:
        raise MissingPackageError.of("alembic") from error
    config = Config(attributes={"connection": connection, "version_table": NUMBER_TABLE})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    steps = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if number is not None and number not in steps:
        raise NewerSchemaError(
            f"the memory {name} has schema {number}, and this program knows schema {NEWEST}",
            advice="Use the program version that made it, or another memory.",
        )
    if number is None and EXAMPLES.name in tables:
        command.stamp(config, GIVEN)
    command.upgrade(config, NEWEST)
