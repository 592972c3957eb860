"""Which sessions a node serves a version in whose publisher asks a share.

The contract pays the share of a session that was opened for the version. It cannot know which version a node serves, so
nodes hold the rule: who serves a version with a share does it in sessions that were opened for that version. A session
that may be older than the share is served as it is, until it expires: nobody's money is locked for nothing because a
publisher changed its mind. Such a session expires within the longest session after the share began.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.model_registry import VersionShare
from nexus_chain.market.publisher_share import per_cent
from node.daemon.errors import ShareNotPaidError

REFRESH_SECONDS = 60.0
"""A share is read again after so long. One that began meanwhile is asked for a little later; nobody is refused for one
that ended."""


class ShareRule:
    """What the chain says of shares, remembered. Any thread may use it. Sends nothing."""

    def __init__(self, contracts: Contracts, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock``: seconds from any start, that never go back."""
        self._contracts, self._clock = contracts, clock
        self._shares: dict[bytes, tuple[float, VersionShare]] = {}
        self._longest: int | None = None  # seconds; fixed for ever
        self._opened_for: dict[bytes, bytes] = {}

    def require(self, session: bytes, expiry: int, version: bytes) -> None:
        """Raise ShareNotPaidError unless ``version`` may be served in a session that expires at ``expiry``.

        Raises ContractRevertedError where there is no such version.
        """
        if self._allows(self._share(version), session, expiry, version):
            return
        # INVARIANT: nobody is refused for a share that is gone by now.
        share = self._read(version)
        if self._allows(share, session, expiry, version):
            return
        raise ShareNotPaidError(
            f"the publisher of version 0x{version.hex()} gets {per_cent(share.basis_points)} of what nodes earn, and "
            f"session 0x{session.hex()} was not opened for that version",
            advice="Open a session for the version (`nexus session open`, openFor); close this one, and what it did "
            "not use comes back.",
        )

    def _allows(self, share: VersionShare, session: bytes, expiry: int, version: bytes) -> bool:
        # A session lives for the longest session at most, so one that expires sooner may be older than the share.
        if not share.basis_points or expiry <= share.since + self._longest_session():
            return True
        return self._version_of(session) == version

    def _version_of(self, session: bytes) -> bytes:
        """For which version a session was opened; fixed at its opening, so it is asked for once."""
        if session not in self._opened_for:
            self._opened_for[session] = self._contracts.market.share_of(session).model_version
        return self._opened_for[session]

    def _longest_session(self) -> int:
        if self._longest is None:
            self._longest = self._contracts.market.longest_session()
        return self._longest

    def _share(self, version: bytes) -> VersionShare:
        known = self._shares.get(version)
        if known is not None and self._clock() - known[0] <= REFRESH_SECONDS:
            return known[1]
        return self._read(version)

    def _read(self, version: bytes) -> VersionShare:
        taken = self._clock()
        share = self._contracts.models.share_of(version)
        self._shares[version] = taken, share
        return share
