"""GenesisVault: keeps the tenth of every settlement for one beneficiary."""

from __future__ import annotations

from typing import ClassVar

from nexus_chain.chain.bound import BoundContract, PullPayments
from nexus_chain.chain.transactions import Mined
from nexus_chain.market.documents import checksum


class GenesisVault(BoundContract):
    """Typed access; methods are the contract's, in snake case."""

    CONTRACT: ClassVar[str] = "GenesisVault"

    def collect(self, source: PullPayments) -> Mined:
        """Fetch what the market or the node registry owes to the vault. Anyone may."""
        return self._send("collect", source.address)

    def spend(self, to: str, wei: int) -> Mined:
        """Send ``wei`` to ``to``. Only the beneficiary."""
        return self._send("spend", checksum(to), wei)

    def beneficiary(self) -> str:
        return str(self._read("beneficiary"))

    def held(self) -> int:
        """Wei in the vault now."""
        return self.connection.balance(self.address)
