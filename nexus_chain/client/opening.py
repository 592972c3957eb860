"""Opening a session: how much to lock at whom, and what is on disk before the transaction is sent."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from nexus_chain.chain.inference_market import AgreedShare
from nexus_chain.client.headroom import wei_to_lock
from nexus_chain.client.network import ClientRoute
from nexus_chain.client.session_key import new_key, save_key
from nexus_chain.client.store import StoredLine, StoredSession
from nexus_chain.client.user import User
from nexus_chain.durations import about
from nexus_chain.market.documents import Line
from nexus_chain.market.publisher_share import locked_with_share

log = logging.getLogger(__name__)

MARGIN_SECONDS = 60
"""The last minute of the longest session is left to the transaction itself: the contract counts from its own block."""


@dataclass(frozen=True)
class NewSession:
    """A session that is on disk and not on the chain yet. ``share``: what it is opened for; None: for no version."""

    record: StoredSession
    caps: Sequence[Line]
    nonce: bytes
    share: AgreedShare | None = None


@dataclass(frozen=True)
class WantedLock:
    """What an opening would lock, wei: ``caps`` for nodes and the vault, and ``share_wei`` for the publisher beside.

    ``share``: its rate, basis points. What is not earned comes back, the share of it too.
    """

    caps: int
    share: int
    share_wei: int

    @property
    def wei(self) -> int:
        """All of it."""
        return self.caps + self.share_wei

    @classmethod
    def of(cls, caps: Sequence[Line], share: AgreedShare | None) -> WantedLock:
        """Of these caps."""
        rate, sums = 0 if share is None else share.basis_points, [cap.cumulative for cap in caps]
        return cls(sum(sums), rate, locked_with_share(sums, rate) - sum(sums))


def share_now(user: User, version: bytes) -> AgreedShare | None:
    """The share that a session for ``version`` is to be opened with; None where its publisher asks for nothing."""
    rate = user.contracts.models.share_of(version).basis_points
    return AgreedShare(version, rate) if rate else None


def caps_for(route: ClientRoute, positions: int) -> list[Line]:
    """One cap per first node of the route, for ``positions`` positions."""
    wei: dict[str, int] = {}
    for candidates, ask in zip(route.segments, route.asks, strict=True):
        node = candidates[0].address
        wei[node] = wei.get(node, 0) + wei_to_lock(ask.wei_per_token, positions)
    return [Line(node, amount) for node, amount in wei.items()]


def prepare_session(
    user: User,
    address: str,
    version: bytes,
    seconds: int,
    caps: Sequence[Line],
    *,
    direct: bool,
    share: AgreedShare | None = None,
) -> NewSession:
    """Key, nonce and id of a session of the wallet ``address``, all on disk. Raises ClientStoreError."""
    market, domain, nonce = user.contracts.market, user.contracts.domain, secrets.token_bytes(32)
    signer = save_key(user.home.session_keys, new_key())
    longest = market.longest_session()
    longest = longest - MARGIN_SECONDS if longest > 2 * MARGIN_SECONDS else longest // 2
    if seconds > longest + MARGIN_SECONDS:
        log.warning("the session can be used for %s: the market's sessions are no longer", about(longest))
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
    lines = [StoredLine(cap.node, cap.cumulative) for cap in caps]
    user.store.add_session(record, lines, share.basis_points if share else 0)
    return NewSession(record, caps, nonce, share)
