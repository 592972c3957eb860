"""What can go wrong while examples are kept.

DistillationError
├── ExampleError              an example that cannot be kept
└── PersistenceError          the database of examples
    ├── StorageAddressError   neither a file nor the URL of a database that is supported
    ├── NewerSchemaError      a newer program made the database
    ├── DamagedStorageError   the file is no database, or part of it cannot be read
    ├── FullStorageError      no room is left
    ├── ReadOnlyStorageError  the file or its folder cannot be written
    ├── BusyStorageError      other writers hold the database for too long
    └── StorageOfflineError   the database does not answer
"""

from __future__ import annotations

from nexus_chain.distillation.errors import DistillationError


class ExampleError(DistillationError):
    """Raised for an example that cannot be kept: a field is empty, out of range, or not text."""


class PersistenceError(DistillationError):
    """Root of what goes wrong with the database of examples."""


class StorageAddressError(PersistenceError):
    """Raised for a storage that is neither a file nor the URL of a supported database."""


class NewerSchemaError(PersistenceError):
    """Raised when a newer program made the database."""


class DamagedStorageError(PersistenceError):
    """Raised when the file is no database, or when part of it cannot be read."""


class FullStorageError(PersistenceError):
    """Raised when no room is left; nothing of the batch that did not fit was written."""


class ReadOnlyStorageError(PersistenceError):
    """Raised when the file or its folder cannot be written, or cannot be opened."""


class BusyStorageError(PersistenceError):
    """Raised when other writers hold the database for too long."""


class StorageOfflineError(PersistenceError):
    """Raised when the database does not answer, or refuses what it is asked."""
