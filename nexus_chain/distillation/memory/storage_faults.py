"""What a database's error means to the one who uses the memory."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from nexus_chain.distillation.memory.errors import (
    BusyStorageError,
    DamagedStorageError,
    FullStorageError,
    PersistenceError,
    ReadOnlyStorageError,
    StorageOfflineError,
)

#: PostgreSQL: serialization failure, deadlock, lock time-out, and a unique key that another has just written.
_CONFLICTS = ("40001", "40P01", "55P03", "23505")
_RECOVER = "Put a backup in its place, or save what can be read: sqlite3 FILE .recover | sqlite3 NEW."


def is_conflict(error: SQLAlchemyError) -> bool:
    """Whether the same work may succeed when it is done again."""
    return _state(error) in _CONFLICTS or _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def storage_fault(error: SQLAlchemyError, where: str) -> PersistenceError:
    """The memory's own error for one of the database; ``where``: the database's name."""
    name, state = _name(error), _state(error)
    # RLIMIT_FSIZE and quotas make a write fail in other ways than a full disk does.
    if name in ("SQLITE_FULL", "SQLITE_IOERR_WRITE") or state == "53100":
        return FullStorageError(
            f"there is no room left for the memory {where}", advice="Free some; what was saved before is whole."
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR")) or "decode to UTF-8" in str(error):
        return damaged(where)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")) or state == "25006":
        return ReadOnlyStorageError(
            f"the memory {where} cannot be written", advice="Give a file in a folder that you may write."
        )
    if is_conflict(error):
        return BusyStorageError(f"other writers hold the memory {where}", advice="Try again when they are done.")
    if isinstance(error, IntegrityError):
        return damaged(where)
    # INVARIANT: neither statements nor parameters are in the message: they hold what somebody asked.
    kind = name or state or type(getattr(error, "orig", None) or error).__name__
    return StorageOfflineError(
        f"the memory {where} does not answer ({kind})", advice="See that it runs, and try again."
    )


def damaged(where: str) -> DamagedStorageError:
    """The error for a file whose content contradicts itself."""
    return DamagedStorageError(f"the memory {where} is damaged or is no memory", advice=_RECOVER)


def _name(error: SQLAlchemyError) -> str:
    """SQLite's name of the error; empty where it has none."""
    return str(getattr(getattr(error, "orig", None), "sqlite_errorname", None) or "")


def _state(error: SQLAlchemyError) -> str:
    """PostgreSQL's five characters; empty where there are none."""
    found = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return str(found or "")
