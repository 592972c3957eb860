"""What the chain tests stand on: a deployment with a published version, two nodes, a user."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.local import LocalChain
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import Line, Voucher

ROOT = Path(__file__).parents[2]
STAKE = 10**17
CAP = 10**15
STATED = ModelVersion(b"\x01" * 32, b"\x02" * 32, b"\x03" * 32, 10, 4, SemVer(1, 0, 0), "bafkreitest")


@dataclass
class World:
    """A deployment, a published version, two staked nodes with half of it each, a user, a session key."""

    chain: LocalChain
    owner: Contracts
    user: Contracts
    operators: list[Contracts]
    key: Wallet
    version: bytes

    def address(self, contracts: Contracts) -> str:
        assert contracts.sender is not None
        return contracts.sender.wallet.address

    @property
    def nodes(self) -> list[str]:
        return [self.address(operator) for operator in self.operators]

    def caps(self, wei: int = CAP) -> list[Line]:
        return [Line(node, wei) for node in self.nodes]

    def open(self) -> bytes:
        expiry = self.user.market.now() + 600
        session, _ = self.user.market.open(self.key.address, expiry, self.caps(), secrets.token_bytes(32))
        return session

    def voucher(self, session: bytes, *amounts: int, key: Wallet | None = None) -> tuple[Voucher, bytes]:
        lines = tuple(Line(node, wei) for node, wei in zip(self.nodes, amounts, strict=False))
        voucher = Voucher(session, lines)
        return voucher, (key or self.key).sign(voucher, self.user.domain)


def build_world(chain: LocalChain, folder: Path) -> World:
    """Fresh contracts on a chain; the deployment file goes into ``folder``."""
    wallets = [Wallet.ephemeral() for _ in range(4)]
    for wallet in wallets:
        chain.set_balance(wallet.address, 10**19)
    creator = ArtefactCreator(chain.connection, wallets[0])
    deployment, _ = deploy(creator, wallets[0].address, preset="local", path=folder / "deployment.json")
    owner, user, *operators = (Contracts.at(chain.connection, deployment, wallet) for wallet in wallets)
    version, _ = owner.models.publish(STATED)
    for index, operator in enumerate(operators):
        operator.nodes.register(
            f"127.0.0.1:{5000 + index}", bytes([index + 1]) * 32, wallets[2 + index].address, stake=STAKE
        )
        operator.nodes.announce(version, 2 * index, 2 * index + 2, 5)
    return World(chain, owner, user, operators, Wallet.ephemeral(), version)
