"""What goes wrong between this process and the chain.

ChainError
├── RpcUnreachableError       nothing answers at the RPC address
│   ├── RpcKeyRefusedError    HTTP 401 or 403
│   ├── RpcBusyError          HTTP 429: too many requests
│   ├── RpcFailingError       HTTP 5xx
│   ├── RpcTimeoutError       no answer in time
│   ├── RpcNonsenseError      an answer that is no JSON-RPC, or another request's
│   └── RpcLaggingError       an answer from before a block that is known
├── WrongChainError           something answers, for another chain
├── DeploymentError           no or a broken deployment file
│   └── ContractMissingError  the file names an address without our contract
├── WalletError               keystore files
│   ├── WalletPasswordError   the password does not open the keystore
│   ├── WalletExistsError     a keystore would be overwritten
│   └── UnfundedWalletError   not enough wei for value and gas
├── TransactionError          sent, but not mined in time, or refused by the node
│   ├── RpcRefusedError       the RPC server refuses a request, and says why
│   ├── TransactionPendingError sent, and nobody knows yet whether it is mined
│   └── ContractRevertedError the contract said no, with its custom error's name
├── JournalError              the file of sent transactions cannot be used
└── LocalChainError           a local Anvil did not start
"""

from __future__ import annotations

from typing import Any

from nexus_chain.errors import NexusError


class ChainError(NexusError):
    """Base of everything this package raises."""


class RpcUnreachableError(ChainError):
    """Raised when nothing answers, or what answers does not speak JSON-RPC.

    ``patience``: seconds for which the same question is worth repeating. ``pause``: those that the server asked for.
    ``arrived``: whether the server may have done all the same what it was asked.
    """

    patience: float = 1.0
    pause: float = 0.0
    arrived: bool = True


class RpcKeyRefusedError(RpcUnreachableError):
    """Raised when the RPC server refuses the key in its address (HTTP 401, 403)."""

    patience, arrived = 0.0, False


class RpcBusyError(RpcUnreachableError):
    """Raised when the RPC server asks for fewer requests (HTTP 429), and went on asking for it."""

    patience, arrived = 20.0, False


class RpcFailingError(RpcUnreachableError):
    """Raised when the RPC server has an error of its own (HTTP 5xx)."""

    patience = 5.0


class RpcTimeoutError(RpcUnreachableError):
    """Raised when the RPC server takes a connection and gives no answer in time."""


class RpcNonsenseError(RpcUnreachableError):
    """Raised when the answer is no JSON-RPC (a web page), or answers another request."""


class RpcLaggingError(RpcUnreachableError):
    """Raised when the RPC server does not know a block that this process has seen.

    ``denied``: whether this server had told of it; ``forgotten``: whether it has denied it so often and so long that
    the block was replaced.
    """

    patience = 30.0
    denied: bool = False
    forgotten: bool = False


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


class RpcRefusedError(TransactionError):
    """Raised when the RPC server answers a request with an error that is no contract's refusal.

    ``said``: all that it said, in lower case.
    """

    said: str = ""


class TransactionPendingError(TransactionError):
    """Raised when a transaction was sent and nobody knows yet whether it is mined; ``hash`` names it."""

    def __init__(self, transaction: str, purpose: str, seconds: float | None = None, reason: str = "") -> None:
        """``seconds``: how long was waited for it; None: nobody waits any more."""
        waited = "" if seconds is None else f"; it was not mined within {seconds:.0f} s"
        super().__init__(
            f"transaction {transaction} ({purpose}) was sent and may be mined{waited}"
            + (f", as far as can be seen: {reason}" if reason else ""),
            advice="Repeat the same command: it goes on with this transaction and pays nothing twice. "
            "`nexus session list` shows the sessions that are open.",
        )
        self.hash = transaction


class JournalError(ChainError):
    """Raised when the file of sent transactions cannot be read or written: nothing is sent without it."""


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
