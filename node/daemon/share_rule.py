"""Which sessions a node serves a version in whose publisher asks a share.

The contract pays the share of a session that was opened for the version. It cannot know which version a node serves, so
nodes hold the rule: who serves a version with a share does it in sessions that were opened for that version. A session
that is older than the share is served as it is, until it expires: nobody's money is locked for nothing because a
publisher changed its mind. So is one whose opening was on its way then.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.inference_market import SessionShare
from nexus_chain.chain.model_registry import VersionShare
from nexus_chain.market.publisher_share import per_cent
from node.daemon.errors import ShareNotPaidError

REFRESH_SECONDS = 60.0
"""A share is read again after so long. One that began meanwhile is asked for a little later; nobody is refused for one
that ended."""
MINING_SECONDS = 600
"""A transaction that leaves the share out, as there was none when it was sent, may take so long to be mined."""
MOST_OPENINGS = 10_000
"""Openings that are remembered."""


class ShareRule:
    """What the chain says of shares, remembered. Any thread may use it. Sends nothing."""

    def __init__(self, contracts: Contracts, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock``: seconds from any start, that never go back."""
        self._contracts, self._clock = contracts, clock
        self._shares: dict[bytes, tuple[float, VersionShare]] = {}
        self._openings: dict[bytes, SessionShare] = {}

    def require(self, session: bytes, version: bytes) -> None:
        """Raise ShareNotPaidError unless ``version`` may be served in a session.

        Raises ContractRevertedError where there is no such version.
        """
        if self._allows(self._share(version), session, version):
            return
        # INVARIANT: nobody is refused for a share that is gone by now, nor for an opening as it was before blocks were
        # replaced.
        self._openings.pop(session, None)
        share = self._read(version)
        if self._allows(share, session, version):
            return
        raise ShareNotPaidError(
            f"the publisher of version 0x{version.hex()} gets {per_cent(share.basis_points)} of what nodes earn, and "
            f"session 0x{session.hex()} was not opened for that version",
            advice="Open a session for the version (`nexus session open`, openFor); close this one, and what it did "
            "not use comes back.",
        )

    def _allows(self, share: VersionShare, session: bytes, version: bytes) -> bool:
        if not share.basis_points:
            return True
        opening = self._opening(session)
        return opening.model_version == version or 0 < opening.opened_at <= share.since + MINING_SECONDS

    def _opening(self, session: bytes) -> SessionShare:
        """How a session was opened; fixed by then, so it is asked for once."""
        known = self._openings.get(session)
        if known is not None:
            return known
        found = self._contracts.market.share_of(session)
        # INVARIANT: what a server that lags behind does not know yet is asked for again.
        if found.opened_at:
            if len(self._openings) >= MOST_OPENINGS:
                self._openings.clear()
            self._openings[session] = found
        return found

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
