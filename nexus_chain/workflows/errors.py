"""What can go wrong with whole tasks, beside what their parts raise.

NexusError
└── WorkflowError
    ├── CatalogueError       no such model in the catalogue, or an import came to other weights
    │   └── DownloadError    a file could not be fetched whole
    └── LocalNetworkError    a local network cannot be started, or is in nobody's hands
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class WorkflowError(NexusError):
    """Root of this package's errors."""


class CatalogueError(WorkflowError):
    """A model is not in the catalogue, or is not what the catalogue says."""


class DownloadError(CatalogueError):
    """A file could not be fetched, or is not the one that was asked for."""


class LocalNetworkError(WorkflowError):
    """A local network cannot be started or stopped as it was asked to."""
