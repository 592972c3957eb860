"""What can go wrong with draft tables."""

from __future__ import annotations

from nexus_chain.errors import NexusError


class DraftTableError(NexusError):
    """A draft table cannot be made of this text, or its file is damaged or belongs to another model."""
