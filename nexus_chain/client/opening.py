"""Opening a session: how much to lock at whom, and what is on disk before the transaction is sent."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from nexus_chain.client.headroom import wei_to_lock
from nexus_chain.client.network import ClientRoute
from nexus_chain.client.session_key import new_key, save_key
from nexus_chain.client.store import StoredLine, StoredSession
from nexus_chain.client.user import User
from nexus_chain.market.documents import Line

MARGIN_SECONDS = 60
"""The last minute of the longest session is left to the transaction itself: the contract counts from its own block."""


@dataclass(frozen=True)
class NewSession:
    """A session that is on disk and not on the chain yet."""

    record: StoredSession
    caps: Sequence[Line]
    nonce: bytes


def caps_for(route: ClientRoute, positions: int) -> list[Line]:
    """One cap per first node of the route, for ``positions`` positions."""
    wei: dict[str, int] = {}
    for candidates, ask in zip(route.segments, route.asks, strict=True):
        node = candidates[0].address
        wei[node] = wei.get(node, 0) + wei_to_lock(ask.wei_per_token, positions)
    return [Line(node, amount) for node, amount in wei.items()]


def prepare_session(
    user: User, address: str, version: bytes, seconds: int, caps: Sequence[Line], *, direct: bool
) -> NewSession:
    """Key, nonce and id of a session of the wallet ``address``, all on disk. Raises ClientStoreError."""
    market, domain, nonce = user.contracts.market, user.contracts.domain, secrets.token_bytes(32)
    signer = save_key(user.home.session_keys, new_key())
    longest = market.longest_session()
    longest = longest - MARGIN_SECONDS if longest > 2 * MARGIN_SECONDS else longest // 2
    record = StoredSession(
        market.session_id(address, nonce),
        domain.chain_id,
        domain.verifying_contract,
        address,
        signer,
        version,
        user.chain_time() + min(seconds, longest),
        direct,
    )
    user.store.add_session(record, [StoredLine(cap.node, cap.cumulative) for cap in caps])
    return NewSession(record, caps, nonce)
