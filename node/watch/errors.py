"""What keeps a watcher from judging or playing.

NexusError
└── WatchError
    ├── PolicyError     a policy that is not known
    └── CaseDataError   what a case's next move needs is not there
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class WatchError(NexusError):
    """Base of everything that the watcher raises."""


class PolicyError(WatchError):
    """Raised when a policy's text is not one of those known."""


class CaseDataError(WatchError):
    """Raised when a case's next move cannot be prepared: its evidence or the chain's events are missing."""
