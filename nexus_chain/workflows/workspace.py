"""What a user's settings lead to: wallet, chain, client, model files. Each is opened when a task first needs it.

So ``nexus wallet new`` asks no chain, and listing models loads no tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from nexus_chain.chain.connection import connect
from nexus_chain.chain.contracts import Contracts, Sending
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.errors import WalletPasswordError
from nexus_chain.chain.wallet import Wallet, read_password
from nexus_chain.client.home import ClientHome
from nexus_chain.market.documents import checksum
from nexus_chain.settings import Settings
from nexus_chain.workflows.observer import SILENT, TaskObserver

if TYPE_CHECKING:
    from pathlib import Path

    from nexus_chain.client.client import Client
    from nexus_chain.workflows.library import ModelLibrary


class Workspace:
    """One user's things. ``ask``: how a password is asked for; None: it has to be in a file."""

    def __init__(
        self, settings: Settings, ask: Callable[[str], str] | None = None, observer: TaskObserver = SILENT
    ) -> None:
        self.settings, self.observer = settings, observer
        self.home = ClientHome(settings.home)
        self._ask = ask

    @property
    def wallet_path(self) -> Path:
        return self.settings.wallet or self.home.wallet

    def password(self, prompt: str = "Wallet password: ") -> str:
        """From the password file, else asked for. Raises WalletPasswordError where neither is possible."""
        return self.secret(self.settings.password_file, prompt)

    def new_password(self) -> str:
        """As ``password``; asked for twice where it is asked for. Raises WalletPasswordError where they differ."""
        password = self.password("New wallet password: ")
        if self.settings.password_file is None and self.password("Again: ") != password:
            raise WalletPasswordError("the passwords differ", advice="Run the command again.")
        return password

    def secret(self, file: Path | None, prompt: str) -> str:
        """The first line of ``file``, else asked for. Raises WalletPasswordError where neither is possible."""
        if self._ask is None:
            return read_password(file)
        return read_password(file, prompt=prompt, ask=self._ask)

    @property
    def wallet(self) -> Wallet:
        """The unlocked wallet; on a development chain a missing one is made and funded. Raises WalletError."""
        wallet = self._locked_wallet
        wallet.require_key()
        return wallet

    def use_wallet(self, wallet: Wallet) -> None:
        """Take an open wallet in place of the keystore's."""
        self._locked_wallet = wallet

    @cached_property
    def _locked_wallet(self) -> Wallet:
        """The wallet, whose password is asked for when something is first signed with it."""
        return self._test_wallet() or Wallet.locked(self.wallet_path, self.password)

    def _test_wallet(self) -> Wallet | None:
        """A new wallet with test ether, where none is at its usual place; None where there is one, or on a real chain.

        Its password has to be in a file: a prompt would not tell that it chooses a new one. Raises ChainError.
        """
        settings = self.settings
        if settings.wallet or settings.password_file is None or self.wallet_path.exists():
            return None
        from nexus_chain.chain.development_wallet import is_development_chain, make_test_wallet

        connection = connect(settings.rpc, settings.chain_id)
        if not is_development_chain(connection):
            return None
        self.home.prepare()
        wallet, said = make_test_wallet(connection, self.wallet_path, self.password())
        self.observer.note(said)
        return wallet

    @property
    def address(self) -> str:
        """The wallet's address: as its file states it, else found with the password. Raises WalletError."""
        return Wallet.address_in(self.wallet_path) or self.wallet.address

    @property
    def payee(self) -> str:
        """As ``address``; on a development chain a missing wallet is made and funded. Raises WalletError."""
        return self._locked_wallet.address

    @cached_property
    def deployment(self) -> Deployment:
        """From the file given, else from the home by the chain's id. Raises DeploymentError."""
        if self.settings.deployment is not None:
            return Deployment.load(self.settings.deployment)
        chain_id = self.settings.chain_id or connect(self.settings.rpc).chain_id()
        return Deployment.load(Deployment.path_for(chain_id, self.home.root))

    @cached_property
    def chain(self) -> Contracts:
        """The contracts, for reading. Raises ChainError, also where the chain is not the one of the settings."""
        if self.settings.chain_id is not None:
            connect(self.settings.rpc, self.settings.chain_id)
        return Contracts.connect(self.settings.rpc, self.deployment)

    @cached_property
    def wallet_chain(self) -> Contracts:
        """The contracts, for this wallet's transactions. Raises ChainError."""
        return self.chain.with_wallet(self.wallet, self.sending)

    @property
    def sending(self) -> Sending:
        """How transactions are sent: each is in the home's journal before."""
        known = self.settings
        return Sending(self.home.prepare().transactions, known.transaction_timeout, known.confirmations, known.max_fee)

    def client(self, *, signing: bool = True, locked: bool = False) -> Client:
        """A client over real connections. The caller closes it.

        ``locked``: the wallet's password is asked for once something is sent; an answer in an open session needs none.
        """
        from nexus_chain.client.client import Client
        from nexus_chain.wire.tls_peer import dial

        if locked:
            return Client(self.chain.with_wallet(self._locked_wallet, self.sending), self.home, dial)
        return Client(self.wallet_chain if signing else self.chain, self.home, dial)

    @cached_property
    def library(self) -> ModelLibrary:
        """The model versions of the chain, and their files on this machine."""
        from nexus_chain.workflows.library import ModelLibrary

        return ModelLibrary(self.chain, self.home.models, self.settings.model_dir, self.observer)

    def operators(self, named: Sequence[str] | None = None) -> tuple[str, ...]:
        """The only nodes that may take part: those ``named`` for a task, else those of the settings.

        Raises DocumentFormatError.
        """
        return operators_of(named or self.settings.operators)


def operators_of(words: Sequence[str]) -> tuple[str, ...]:
    """Addresses, each once: in a list, or with commas between. Raises DocumentFormatError."""
    named = [word.strip() for entry in words for word in entry.split(",")]
    return tuple(dict.fromkeys(checksum(word) for word in named if word))
