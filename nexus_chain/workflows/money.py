"""A user's wallet: made, looked at, and paid what the market owes it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.chain.errors import ChainError
from nexus_chain.chain.transactions import Mined
from nexus_chain.chain.wallet import Wallet
from nexus_chain.market.documents import checksum
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class Withdrawal:
    """Wei that the market held for the wallet, and the transaction that fetched them; None: there were none."""

    address: str
    wei: int
    mined: Mined | None


@dataclass(frozen=True)
class Balance:
    """Wei that an address has, and that the market owes it."""

    held: int
    owed: int


def withdraw(workspace: Workspace) -> Withdrawal:
    """Fetch refunds and earnings that the market holds for the wallet. Raises WalletError, ChainError."""
    address = workspace.payee
    owed = workspace.chain.market.balance_of(address)
    return Withdrawal(address, owed, workspace.wallet_chain.market.withdraw() if owed else None)


def balance_of(workspace: Workspace, address: str) -> Balance | ChainError:
    """What an address has, or why that cannot be said."""
    try:
        chain = workspace.chain
        return Balance(chain.connection.balance(checksum(address)), chain.market.balance_of(address))
    except ChainError as error:
        return error


def create_wallet(workspace: Workspace) -> str:
    """Make an encrypted wallet; returns its address. Raises WalletError, also where one exists already."""
    workspace.home.prepare()
    return Wallet.create(workspace.wallet_path, workspace.new_password()).address
