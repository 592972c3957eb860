"""Where the sessions of this machine stand, as the chain has it. Asks no node, and needs nothing that asks one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.client.store import CLOSED, OPEN, OPENING, RECOVERED, SETTLED, ClientStore, StoredSession


def read_state(contracts: Contracts, store: ClientStore, record: StoredSession, now: Callable[[], int]) -> str:
    """The session's state as the chain has it; OPENING when its transaction never arrived. ``now``: chain time."""
    market = contracts.market
    try:
        found = market.session_of(record.id)
    except ContractRevertedError:
        return OPENING
    if found.end == 0 and now() < found.expiry:
        return RECOVERED if record.state == RECOVERED else OPEN
    nodes = store.lines(record.id)
    whole = nodes and len(nodes) >= found.line_count
    return SETTLED if whole and all(market.line_of(record.id, node).settled for node in nodes) else CLOSED


def sessions_with_states(contracts: Contracts, store: ClientStore, now: Callable[[], int]) -> list[StoredSession]:
    """This deployment's sessions with their state on the chain, oldest first."""
    market = contracts.domain.chain_id, contracts.domain.verifying_contract
    mine = [record for record in store.sessions() if (record.chain_id, record.market) == market]
    return [replace(record, state=read_state(contracts, store, record, now)) for record in mine]
