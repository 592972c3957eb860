"""What every ``nexus`` command shares: where the chain, the wallet and the files are.

Flags come first, then environment variables, then what lies in NEXUS_HOME. Things are opened
when a command first needs them, so that ``nexus wallet new`` asks no chain and loads no tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nexus_chain.chain.connection import connect
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.wallet import Wallet, read_password
from nexus_chain.client.home import ClientHome
from nexus_chain.market.documents import checksum

if TYPE_CHECKING:
    from nexus_chain.client.client import Client

DEFAULT_RPC = "http://127.0.0.1:8545"
OperatorsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS,...",
        envvar="NEXUS_OPERATORS",
        help="Only these nodes may take part, spares included: each one reads the text [default: anybody].",
    ),
]
ValueOption = Annotated[
    int | None,
    typer.Option(min=0, metavar="WEI", help="What a wrong answer could cost; each node's stake has to cover it."),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


@dataclass
class Settings:
    """One invocation's settings; ``typer.Context.obj`` of every command."""

    rpc: str = DEFAULT_RPC
    deployment_file: Path | None = None
    home_folder: Path | None = None
    wallet_file: Path | None = None
    password_file: Path | None = None
    model_dir: Path | None = None

    @cached_property
    def home(self) -> ClientHome:
        if self.home_folder is not None:
            return ClientHome(self.home_folder.expanduser())
        return ClientHome.from_environment()

    @property
    def wallet_path(self) -> Path:
        return self.wallet_file or self.home.wallet

    def password(self, prompt: str = "Wallet password: ") -> str:
        """From the password file, else typed. Raises WalletPasswordError where neither is possible."""
        interactive = sys.stdin.isatty()
        return read_password(self.password_file, prompt=prompt if interactive else None)

    @cached_property
    def wallet(self) -> Wallet:
        """The unlocked wallet."""
        Wallet.address_in(self.wallet_path)  # a missing file is said before a password is asked
        return Wallet.load(self.wallet_path, self.password())

    @cached_property
    def deployment(self) -> Deployment:
        """From the file given, else from NEXUS_HOME by the chain's id."""
        if self.deployment_file is not None:
            return Deployment.load(self.deployment_file)
        return Deployment.load(Deployment.path_for(connect(self.rpc).eth.chain_id, self.home.root))

    @cached_property
    def chain(self) -> Contracts:
        """The contracts, for reading."""
        return Contracts.connect(self.rpc, self.deployment)

    @cached_property
    def wallet_chain(self) -> Contracts:
        """The contracts, for this wallet's transactions."""
        return self.chain.with_wallet(self.wallet)

    def client(self, *, signing: bool = True) -> Client:
        """A client over real connections. The caller closes it."""
        from nexus_chain.client.client import Client
        from nexus_chain.wire.tls_peer import dial

        return Client(self.wallet_chain if signing else self.chain, self.home, dial)


def operators_of(given: Sequence[str] | None) -> tuple[str, ...]:
    """The addresses of ``--operators``, each once: repeated, or with commas between. Raises DocumentFormatError."""
    words = [word.strip() for entry in given or () for word in entry.split(",")]
    return tuple(dict.fromkeys(checksum(word) for word in words if word))


def settings_of(context: typer.Context) -> Settings:
    """The invocation's settings."""
    found = context.find_root().obj
    if not isinstance(found, Settings):
        raise TypeError("the root command did not run")
    return found
