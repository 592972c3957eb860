"""Where a user's things lie on disk.

``NEXUS_HOME`` (default ``~/.nexus``) holds the wallet, deployments, client state, model files
and blocks. This module only names and creates places; what lies there belongs to others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nexus_chain.client.errors import ClientStoreError


@dataclass(frozen=True)
class ClientHome:
    """One user's folder; every path below it is derived here and nowhere else."""

    root: Path

    @property
    def wallet(self) -> Path:
        return self.root / "wallet.json"

    @property
    def database(self) -> Path:
        return self.root / "client.sqlite"

    @property
    def session_keys(self) -> Path:
        return self.root / "session-keys"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def blocks(self) -> Path:
        return self.root / "blocks"

    @property
    def pins(self) -> Path:
        return self.root / "pins.sqlite"

    @property
    def transactions(self) -> Path:
        """Every transaction that was sent."""
        return self.root / "transactions.sqlite"

    @property
    def answers(self) -> Path:
        return self.root / "answers"

    @property
    def reputation(self) -> Path:
        return self.root / "reputation.json"

    def exposure(self, chain_id: int) -> Path:
        """What is known about unsettled lines on a chain."""
        return self.root / f"exposure-{chain_id}.json"

    def deployment(self, chain_id: int) -> Path:
        return self.root / "deployments" / f"{chain_id}.json"

    def prepare(self) -> ClientHome:
        """Create the folder, readable by its owner only. Raises ClientStoreError."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ClientStoreError(
                f"{self.root} cannot be created: {error.strerror}",
                advice="Set NEXUS_HOME or --home to a folder you can write to.",
            ) from error
        return self
