"""NodeRegistry: who serves, with what stake, where, and which layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from nexus_chain.chain.bound import PullPayments
from nexus_chain.chain.transactions import Mined
from nexus_chain.market.documents import checksum


@dataclass(frozen=True)
class NodeRecord:
    """What the registry knows about a node."""

    receipt_key: str
    unbondable_after: int  # its stake can leave after this timestamp; 0 when it is not unbonding
    convicted: bool
    stake: int  # wei
    open_games: int
    tls_key_hash: bytes  # SHA-256 of the certificate's public key (SPKI)
    endpoint: str  # host:port

    @property
    def active(self) -> bool:
        """Whether sessions may name it."""
        return not self.convicted and self.unbondable_after == 0


@dataclass(frozen=True)
class Announcement:
    """One node's offer to serve layers [layer_start, layer_end) of a model version."""

    node: str
    layer_start: int
    layer_end: int
    wei_per_token: int


@dataclass(frozen=True)
class Timing:
    """The protocol's times, seconds: T, W, C and M of the protocol."""

    longest_session: int
    challenge_window: int
    clock: int
    minimum_move: int


class NodeRegistry(PullPayments):
    """Typed access; methods are the contract's, in snake case."""

    CONTRACT: ClassVar[str] = "NodeRegistry"

    def register(self, endpoint: str, tls_key_hash: bytes, receipt_key: str, *, stake: int) -> Mined:
        """Register the sender's wallet as a node with ``stake`` wei."""
        return self._send("register", endpoint, tls_key_hash, checksum(receipt_key), value=stake)

    def add_stake(self, wei: int) -> Mined:
        return self._send("addStake", value=wei)

    def update_endpoint(self, endpoint: str, tls_key_hash: bytes) -> Mined:
        return self._send("updateEndpoint", endpoint, tls_key_hash)

    def announce(self, model_version: bytes, layer_start: int, layer_end: int, wei_per_token: int) -> Mined:
        """Offer layers [layer_start, layer_end); replaces the offer for that version before."""
        return self._send("announce", model_version, layer_start, layer_end, wei_per_token)

    def request_unbond(self) -> Mined:
        """Start to leave; cannot be undone."""
        return self._send("requestUnbond")

    def complete_unbond(self) -> Mined:
        """Credit the stake to the balance, once the delay is over; ``withdraw`` fetches it."""
        return self._send("completeUnbond")

    def node(self, address: str) -> NodeRecord:
        """Raises ContractRevertedError NodeRegistry_Unknown."""
        return NodeRecord(*self._read("node", checksum(address)))

    def is_convicted(self, address: str) -> bool:
        return bool(self._read("isConvicted", checksum(address)))

    def receipt_key_of(self, address: str) -> str:
        """The key that signs a node's receipts; the zero address when it never registered."""
        return str(self._read("receiptKeyOf", checksum(address)))

    def nodes(self) -> Iterator[str]:
        """Addresses in order of registration, those that left included."""
        return self._pages("nodes")

    def announcements(self, model_version: bytes) -> Iterator[Announcement]:
        """All offers for a version; may include nodes that became inactive (their record says so)."""
        return (Announcement(*entry) for entry in self._pages("announcements", model_version))

    def announcement_count(self, model_version: bytes) -> int:
        return int(self._read("announcementCount", model_version))

    def announcement_of(self, node: str, model_version: bytes) -> Announcement | None:
        """A node's offer for a version, or None."""
        found = Announcement(*self._read("announcementOf", checksum(node), model_version))
        return found if found.layer_end else None

    def timing(self) -> Timing:
        return Timing(*self._read("timing"))

    def longest_game(self) -> int:
        """Seconds a dispute can last, G."""
        return int(self._read("longestGame"))

    def unbonding_delay(self) -> int:
        """Seconds between the request and the stake's release."""
        return int(self._read("unbondingDelay"))

    def minimum_stake(self) -> int:
        """Smallest first stake, wei."""
        return int(self._read("minimumStake"))

    def vault(self) -> str:
        return str(self._read("vault"))

    def dispute(self) -> str:
        """The dispute contract; the zero address when this deployment has none."""
        return str(self._read("dispute"))
