"""Deploy the contracts with ape, and write the deployment file.

    scripts/ape.sh run deploy --network http://127.0.0.1:8545 --preset local
    scripts/ape.sh run deploy --network ethereum:mainnet:node --preset mainnet --account operator \\
        --password-file operator.password --beneficiary 0x... --chain-id 1

--network takes any RPC address, or one of ape's names. The second run on a chain changes nothing.
On a development chain (31337, 1337) the first public test account pays unless --account is given;
on any other chain --account and --beneficiary are required.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from ape import accounts, chain
from ape.api import AccountAPI
from ape.cli import ConnectedProviderCommand, network_option
from ape.contracts import ContractContainer
from ethpm_types import ContractType
from hexbytes import HexBytes
from web3.exceptions import ContractLogicError, Web3RPCError

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from nexus_chain.chain.deployer import (  # noqa: E402
    DEPLOYMENT_PRESETS,
    DEVELOPMENT_CHAINS,
    check_preset,
    created_address,
    deploy,
)
from nexus_chain.chain.errors import WrongChainError  # noqa: E402
from nexus_chain.chain.interfaces import abi, creation_code  # noqa: E402
from nexus_chain.chain.wallet import read_password  # noqa: E402
from nexus_chain.errors import NexusError  # noqa: E402


class ApeCreator:
    """Creates contracts with an ape account on the connected network."""

    def __init__(self, account: AccountAPI) -> None:
        self.account, self.chain_id = account, connected_chain_id()

    def create(self, contract: str, *arguments: Any) -> tuple[str, int]:
        instance = self.account.deploy(shipped(contract), *arguments)
        return str(instance.address), int(chain.blocks.head.number)

    def foresee(self, creations: int) -> str:
        return created_address(str(self.account.address), int(self.account.nonce) + creations)

    def code_size(self, address: str) -> int:
        return len(chain.provider.get_code(address))

    def runs(self, code: bytes) -> bool:
        try:
            chain.provider.web3.eth.call({"data": HexBytes(code)})
        except (ContractLogicError, Web3RPCError):
            return False
        return True


def shipped(contract: str) -> ContractContainer:
    """A contract as the package ships it: ape has nothing to compile."""
    code = {"bytecode": creation_code(contract)}
    described = {"contractName": contract, "abi": abi(contract), "deploymentBytecode": code}
    return ContractContainer(ContractType.model_validate(described))


def connected_chain_id() -> int:
    """The chain id that the RPC server reports; ape assumes 1337 for an address under ``ethereum:local:``."""
    actual = int(chain.provider.web3.eth.chain_id)
    if actual != int(chain.chain_id):
        raise WrongChainError(
            f"the server is on chain {actual}, ape signs for chain {chain.chain_id}",
            advice="Give the RPC address alone: --network http://127.0.0.1:8545.",
        )
    return actual


def paying_account(alias: str | None, password_file: Path | None) -> AccountAPI:
    """The ape account ``alias``; without one the first public test account, on development chains only."""
    if alias is not None:
        account = accounts.load(alias)
        if password_file is not None:
            account.set_autosign(True, passphrase=read_password(password_file))
        return account
    if connected_chain_id() not in DEVELOPMENT_CHAINS:
        raise click.UsageError("this is a real chain: name the paying account with --account (ape accounts import)")
    return accounts.test_accounts[0]


@click.command(cls=ConnectedProviderCommand)
@network_option(required=True)
@click.option("--preset", type=click.Choice(list(DEPLOYMENT_PRESETS)), default="local", show_default=True)
@click.option("--account", "alias", help="ape account that pays; default on a development chain: test account 0")
@click.option("--password-file", type=click.Path(path_type=Path), help="password of --account, in the first line")
@click.option("--beneficiary", help="may spend what reaches the Genesis Vault; default on a development chain: payer")
@click.option("--chain-id", "expected_chain_id", type=int, help="refuse any other chain")
@click.option("--out", type=click.Path(path_type=Path), help="default: $NEXUS_HOME/deployments/<chain id>.json")
def cli(
    preset: str,
    alias: str | None,
    password_file: Path | None,
    beneficiary: str | None,
    expected_chain_id: int | None,
    out: Path | None,
) -> None:
    """Deploy what is missing; a second run changes nothing."""
    try:
        check_preset(preset, connected_chain_id(), expected_chain_id)
        payer = paying_account(alias, password_file)
        if beneficiary is None and connected_chain_id() not in DEVELOPMENT_CHAINS:
            raise click.UsageError("this is a real chain: say who owns the Genesis Vault with --beneficiary")
        owner = beneficiary or str(payer.address)
        deploy(ApeCreator(payer), owner, preset=preset, path=out, expected_chain_id=expected_chain_id, say=click.echo)
    except NexusError as error:
        raise click.ClickException(str(error)) from error
