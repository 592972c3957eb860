"""Whether a node's wallet can pay for the answers that its open games may ask of it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ANSWERS_GAS
from nexus_chain.market.documents import checksum


@dataclass(frozen=True)
class AnswerFunds:
    """``wallet``: wei there; ``needed``: wei that the answers of ``games`` games take at the base fee now."""

    wallet: int
    games: int
    needed: int

    @property
    def warning(self) -> str:
        """What to do, where the wallet is short; empty where it is not."""
        if self.wallet >= self.needed:
            return ""
        return (
            f"the wallet's {self.wallet} wei do not pay the answers of {self.games} open games, up to {self.needed} "
            "wei: send it more before their deadlines, or the stake is lost by silence"
        )


def answer_funds(contracts: Contracts, address: str, games: int) -> AnswerFunds:
    """Ask the chain about ``address``, which has ``games`` games to answer."""
    wallet = contracts.connection.balance(checksum(address))
    base_fee = contracts.connection.block().base_fee or 0
    return AnswerFunds(wallet, games, games * ANSWERS_GAS * base_fee)
