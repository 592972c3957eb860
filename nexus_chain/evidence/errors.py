"""What can go wrong with an answer file."""

from __future__ import annotations

from nexus_chain.errors import NexusError


class ProofFileError(NexusError):
    """An answer file is malformed."""
