"""The sessions of this machine, with their money and their orders."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from nexus_chain.chain.clock import chain_time
from nexus_chain.client.session_states import sessions_with_states
from nexus_chain.client.store import ClientStore, StoredLine, StoredSession
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class ListedSession:
    """A session of this machine with its lines and the digests of its orders.

    ``locked``: wei, with what is locked for its version's publisher; ``share``: the publisher's rate, basis points.
    """

    record: StoredSession
    lines: tuple[StoredLine, ...]
    orders: tuple[bytes, ...]
    locked: int
    share: int

    @property
    def promised(self) -> int:
        return sum(line.promised for line in self.lines)


def list_sessions(workspace: Workspace) -> list[ListedSession]:
    """The sessions that were opened from this machine, oldest first. Raises ChainError, ClientStoreError."""
    contracts = workspace.chain
    with closing(ClientStore(workspace.home.prepare().database)) as store:
        known = sessions_with_states(contracts, store, lambda: chain_time(contracts.connection))
        return [
            ListedSession(
                record,
                tuple(store.lines(record.id).values()),
                tuple(store.order_digests(record.id)),
                store.locked(record.id),
                store.share(record.id),
            )
            for record in known
        ]
