"""A node's keys: the wallet that is paid, the receipt key derived from it, the TLS key.

The registry fixes a node's receipt key for ever, so it must not be lost with a disk: it is
derived from the wallet, and whoever has the wallet's keystore and password has it again.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.chain.connection import connect
from nexus_chain.chain.wallet import Wallet, read_password
from nexus_chain.keccak import keccak256
from node.daemon.configuration import NodeConfiguration
from node.daemon.tls import TlsIdentity

_RECEIPT_KEY_TAG = keccak256(b"nexus.receipt-key.v1")


@dataclass(frozen=True)
class Identity:
    """Who a serving node is: the address that is paid and the key that signs its receipts.

    ``payer``: the address that pays its gas; empty: ``address``.
    """

    address: str
    receipt_key: Wallet
    payer: str = ""

    @property
    def gas_address(self) -> str:
        """Whose ether pays for what the node sends."""
        return self.payer or self.address

    @property
    def has_stake(self) -> bool:
        """Whether this machine's wallet is the one that staked: only that one may take money out."""
        return self.gas_address == self.address


@dataclass(frozen=True)
class NodeKeys:
    """Everything a node signs and encrypts with. ``staker``: who registers and stakes; empty: the wallet."""

    wallet: Wallet
    receipt_key: Wallet
    tls: TlsIdentity
    staker: str = ""

    @property
    def identity(self) -> Identity:
        """Who serves with these keys."""
        return serving_identity(self.wallet, self.staker)

    @classmethod
    def open(cls, configuration: NodeConfiguration) -> NodeKeys:
        """Open the keystore (password from file or prompt) and the TLS key, which is made where missing."""
        return cls.of(open_wallet(configuration), configuration)

    @classmethod
    def of(cls, wallet: Wallet, configuration: NodeConfiguration) -> NodeKeys:
        """The keys of an open wallet; the TLS key is made where it is missing."""
        configuration.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        tls = TlsIdentity.open(configuration.data)
        return cls(wallet, receipt_key_of(wallet), tls, configuration.staker_address)


def serving_identity(wallet: Wallet, staker: str) -> Identity:
    """Who serves with ``wallet``. ``staker``: who registers and stakes; empty: the wallet. Makes no file."""
    return Identity(staker or wallet.address, receipt_key_of(wallet), wallet.address)


def open_wallet(configuration: NodeConfiguration) -> Wallet:
    """The node's wallet, with its password from the file or a prompt. Raises WalletError."""
    path = configuration.wallet_path
    Wallet.address_in(path)  # no question for a password when there is no keystore
    return Wallet.load(path, read_password(configuration.password_file, prompt=f"Password of {path}: "))


def open_or_make_wallet(configuration: NodeConfiguration) -> tuple[Wallet, list[str]]:
    """As ``open_wallet``; on a development chain a missing wallet is made and funded, and that is said in words.

    Only at its usual place, and with a password from a file. Raises ChainError.
    """
    path, password_file = configuration.wallet_path, configuration.password_file
    if not (configuration.wallet or password_file is None or path.exists()):
        from nexus_chain.chain.development_wallet import is_development_chain, make_test_wallet

        connection = connect(configuration.rpc, configuration.chain_id)
        if is_development_chain(connection):
            configuration.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            wallet, said = make_test_wallet(connection, path, read_password(password_file))
            return wallet, [said]
    return open_wallet(configuration), []


def address_of_node(configuration: NodeConfiguration) -> str:
    """The node's address: who stakes for it, else its wallet. Raises WalletError, ConfigurationError."""
    return configuration.staker_address or address_of_wallet(configuration)


def address_of_wallet(configuration: NodeConfiguration) -> str:
    """The wallet's address: as its keystore states it, else found with the password. Raises WalletError."""
    return Wallet.address_in(configuration.wallet_path) or open_wallet(configuration).address


def receipt_key_of(wallet: Wallet) -> Wallet:
    """The receipt key that belongs to a wallet: the hash of a signature that is asked for nowhere else."""
    return Wallet(keccak256(_RECEIPT_KEY_TAG + wallet.sign_digest(_RECEIPT_KEY_TAG)))
