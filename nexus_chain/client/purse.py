"""The session's money as the client sees it: what is capped, promised and used, per node.

A node computes n more positions only when the best voucher covers everything it has computed in
the session and those n. So before each chunk the purse signs a voucher for exactly that: one chunk
can be lost, never more. What a chunk prepaid and did not use carries over to the session's next
order. Knows no network; the store remembers every voucher before it is handed out.
"""

from __future__ import annotations

from collections.abc import Mapping

from coincurve import PrivateKey

from nexus_chain.client.errors import CapTooLowError
from nexus_chain.client.store import ClientStore, LineRecord
from nexus_chain.market.documents import Domain, Line, Voucher, sign
from nexus_chain.wire.peer import SignedVoucher


def spendable(line: LineRecord) -> int:
    """What may be promised of a cap: all but one wei, because a node closes a line that is used up."""
    return max(0, line.cap - 1)


class SessionPurse:
    """Signs the cumulative vouchers of one session with its key."""

    def __init__(self, store: ClientStore, session: bytes, key: bytes, domain: Domain) -> None:
        self._store, self._session, self._domain = store, session, domain
        self._key = PrivateKey(key)  # once: making it takes longer than signing with it

    def line(self, node: str) -> LineRecord:
        """The node's line; all zero when it has none."""
        return self._store.lines(self._session).get(node) or LineRecord(node, 0)

    def shortfall(self, node: str, wei: int) -> int:
        """By how much the node's cap has to rise to let it bill ``wei`` more; 0 when it suffices."""
        line = self.line(node)
        return max(0, line.used + wei - spendable(line))

    def sign(self, amounts: Mapping[str, int]) -> SignedVoucher:
        """A voucher that lets each node bill ``amounts[node]`` wei more than it has used; ``keep`` it before use.

        Every line of the session is in it, so that anyone can post it for all. Raises CapTooLowError.
        """
        lines = self._store.lines(self._session)
        promised = {node: line.promised for node, line in lines.items()}
        for node, wei in amounts.items():
            line = lines.get(node) or LineRecord(node, 0)
            promised[node] = max(line.promised, line.used + wei)
            if promised[node] > spendable(line):
                raise CapTooLowError(
                    f"node {node} can earn {spendable(line) - line.used} wei more here, the next chunk costs {wei}",
                    advice="Raise its cap with `nexus session allot`, or open a session with a larger --tokens.",
                )
        # A node wants to find its own line, even where it asks for nothing.
        named = sorted(node for node, wei in promised.items() if wei or node in amounts)
        voucher = Voucher(self._session, tuple(Line(node, promised[node]) for node in named))
        last = self._store.last_voucher(self._session)
        if last is not None and last[0] == voucher:
            return last
        return voucher, sign(voucher, self._key, self._domain)

    def keep(self, voucher: SignedVoucher) -> None:
        """Remember a voucher and what it promises, before anybody else sees it."""
        self._store.add_voucher(*voucher)

    def write_off(self, node: str) -> None:
        """Count all that was promised to a failed node as used: what it computed is not known."""
        line = self.line(node)
        self._store.set_used(self._session, node, max(line.used, line.promised))
