"""What goes wrong between this process and the chain.

ChainError
├── RpcUnreachableError       nothing answers at the RPC address
├── WrongChainError           something answers, for another chain
├── DeploymentError           no or a broken deployment file
│   └── ContractMissingError  the file names an address without our contract
├── WalletError               keystore files
│   ├── WalletPasswordError   the password does not open the keystore
│   ├── WalletExistsError     a keystore would be overwritten
│   └── UnfundedWalletError   not enough wei for value and gas
├── TransactionError          sent, but not mined in time, or refused by the node
│   └── ContractRevertedError the contract said no, with its custom error's name
└── LocalChainError           a local Anvil did not start
"""

from __future__ import annotations

from typing import Any

from nexus_chain.errors import NexusError


class ChainError(NexusError):
    """Base of everything this package raises."""


class RpcUnreachableError(ChainError):
    """Raised when nothing answers, or what answers does not speak JSON-RPC."""


class WrongChainError(ChainError):
    """Raised when the RPC server serves another chain than expected."""


class DeploymentError(ChainError):
    """Raised when a deployment file is missing or unreadable."""


class ContractMissingError(DeploymentError):
    """Raised when an address of the deployment does not hold our contract."""


class WalletError(ChainError):
    """Base of what is wrong with a wallet; also a keystore that cannot be read."""


class WalletPasswordError(WalletError):
    """Raised when a password is missing or does not open the keystore."""


class WalletExistsError(WalletError):
    """Raised instead of overwriting a keystore."""


class UnfundedWalletError(WalletError):
    """Raised before sending when a wallet cannot pay for value and gas."""

    def __init__(self, address: str, balance: int, needed: int) -> None:
        super().__init__(
            f"wallet {address} holds {balance} wei and this transaction needs up to {needed} wei",
            advice=f"Send at least {needed - balance} wei to {address} and try again.",
        )
        self.address, self.balance, self.needed = address, balance, needed


class TransactionError(ChainError):
    """Raised when a transaction was refused by the RPC server, not mined in time, or reverted in its block.

    ``fee``: wei that it cost all the same.
    """

    fee: int = 0


class ContractRevertedError(TransactionError):
    """Raised when a contract refuses; ``error_name`` and ``arguments`` are its custom error."""

    def __init__(self, error_name: str, arguments: dict[str, Any], *, advice: str) -> None:
        shown = ", ".join(f"{key}={_shown(value)}" for key, value in arguments.items())
        super().__init__(f"the contract refused: {error_name}({shown})", advice=advice)
        self.error_name, self.arguments = error_name, arguments


class LocalChainError(ChainError):
    """Raised when a local Anvil is not installed or does not start."""


def _shown(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
