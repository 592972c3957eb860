"""The order in which the contracts are created, with which numbers, and what is written down.

Who creates them (ape, or a wallet here) is the caller's business: a ``Creator``. All create the shipped artefacts.
Running twice changes nothing; running after a crash goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.types import Nonce
from web3.utils import get_create_address

from nexus_chain.chain.connection import rpc_errors, url_of
from nexus_chain.chain.deployment import CONTRACT_FIELDS, Deployment
from nexus_chain.chain.errors import DeploymentError, WrongChainError
from nexus_chain.chain.interfaces import abi, creation_code
from nexus_chain.chain.transactions import Sender, chain_errors
from nexus_chain.chain.wallet import Wallet

_HOUR, _DAY, _ETHER = 3_600, 86_400, 10**18
#: Chains that exist only on somebody's machine.
DEVELOPMENT_CHAINS = (31337, 1337)
#: Gas that a node's answers of one game may take: five postings of 64 KiB, as the contract counts them.
ANSWERS_GAS = 10_000_000
#: Creation code that stores transiently (EIP-1153), copies memory (EIP-5656), and leaves an empty contract.
CANCUN_PROBE = bytes.fromhex("600160005d 60005c50 6020600060005e 60006000f3")


@dataclass(frozen=True)
class DeploymentParameters:
    """The numbers that are fixed for ever at deployment: seconds, and wei."""

    longest_session: int
    challenge_window: int
    clock: int
    minimum_move: int
    minimum_stake: int
    minimum_bond: int
    bounty: int  # what the finder of a lie earns beside its gas


DEPLOYMENT_PRESETS: dict[str, DeploymentParameters] = {
    # Seconds to minutes: for demos and tests, where the clock can be moved too.
    "local": DeploymentParameters(_HOUR, 60, 120, 30, _ETHER // 10, _ETHER // 50, _ETHER // 500),
    # A stake of at least ten games' gas (210 M gas at 30 gwei is 6.3 ether).
    "mainnet": DeploymentParameters(7 * _DAY, _DAY, _DAY, _HOUR, 8 * _ETHER, _ETHER // 10, _ETHER // 100),
    # A rollup's sequencer can be down for a day, its clock may jump by an hour; gas is a hundred times cheaper.
    "rollup": DeploymentParameters(
        7 * _DAY, 3 * _DAY, 3 * _DAY, 4 * _HOUR, _ETHER // 2, _ETHER // 100, _ETHER // 1_000
    ),
}


class Creator(Protocol):
    """Creates contracts on one chain."""

    chain_id: int

    def create(self, contract: str, *arguments: Any) -> tuple[str, int]:
        """Create ``contract``; returns its address and block."""
        ...

    def foresee(self, creations: int) -> str:
        """Address of the contract that is created after ``creations`` others, if nothing else is sent meanwhile."""
        ...

    def has_code(self, address: str) -> bool:
        """Whether there is a contract at ``address`` now."""
        ...

    def runs(self, code: bytes) -> bool:
        """Whether the chain runs this creation code to its end; asked, not sent."""
        ...


def created_address(creator: str, nonce: int) -> str:
    """Address of the contract that ``creator`` creates in its transaction number ``nonce``."""
    return str(get_create_address(Web3.to_checksum_address(creator), Nonce(nonce)))


def check_preset(preset: str, chain_id: int, expected_chain_id: int | None = None) -> DeploymentParameters:
    """The preset's numbers. Raises WrongChainError (another chain; toy numbers on a real one) and DeploymentError."""
    if expected_chain_id is not None and chain_id != expected_chain_id:
        raise WrongChainError(
            f"this is chain {chain_id}, not chain {expected_chain_id}", advice="Give the network you mean to deploy to."
        )
    if preset not in DEPLOYMENT_PRESETS:
        raise DeploymentError(
            f"there is no preset {preset!r}", advice=f"Choose one of {', '.join(DEPLOYMENT_PRESETS)}."
        )
    if preset == "local" and chain_id not in DEVELOPMENT_CHAINS:
        raise WrongChainError(
            f"preset 'local' has windows of seconds and chain {chain_id} is a real one",
            advice="Choose preset 'mainnet' or 'rollup'.",
        )
    return DEPLOYMENT_PRESETS[preset]


def deploy(
    creator: Creator,
    beneficiary: str,
    *,
    preset: str,
    path: Path | None = None,
    expected_chain_id: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Deployment, bool]:
    """Create what is missing, write the deployment file; returns it and whether anything was created.

    ``beneficiary`` may spend what reaches the Genesis Vault, and nothing else.
    """
    parameters = check_preset(preset, creator.chain_id, expected_chain_id)
    path = path or Deployment.path_for(creator.chain_id)
    standing = _standing(creator, path)
    if standing is not None:
        if standing.preset != preset:
            raise DeploymentError(
                f"chain {creator.chain_id} has a deployment with preset {standing.preset!r}: {path}",
                advice=f"Use preset {standing.preset!r}, or write to another file.",
            )
        say(f"chain {creator.chain_id} has this deployment already: {path}")
        return standing, False
    # INVARIANT: nothing is created where money could come in and never leave.
    _require_cancun(creator)
    unfinished = _Unfinished(creator, path.with_suffix(".unfinished.json"), say)
    vault = unfinished.create("GenesisVault", beneficiary)
    models = unfinished.create("ModelRegistry")
    verifier = unfinished.create("StepVerifier")
    times = asdict(parameters)
    stake, bond, bounty = (times.pop(name) for name in ("minimum_stake", "minimum_bond", "bounty"))
    # Registry and market obey the one dispute contract whose address they are created with, which is created after
    # them: nobody can ever put another judge there.
    foreseen = unfinished.foresee_dispute()
    nodes = unfinished.create("NodeRegistry", models, vault, foreseen, stake, tuple(times.values()))
    market = unfinished.create("InferenceMarket", nodes)
    dispute = unfinished.create("DisputeGame", (market, nodes, models, verifier), bond, ANSWERS_GAS, bounty)
    if dispute != foreseen:
        raise DeploymentError(
            f"the dispute contract is at {dispute}, not at {foreseen} as foreseen",
            advice="Deploy again, and send nothing else from the paying account meanwhile.",
        )
    certificates = unfinished.create("CertificateRegistry", models)
    deployment = Deployment(
        chain_id=creator.chain_id,
        node_registry=nodes,
        model_registry=models,
        inference_market=market,
        genesis_vault=vault,
        certificate_registry=certificates,
        step_verifier=verifier,
        dispute_game=dispute,
        block=unfinished.first_block,
        preset=preset,
        parameters=asdict(parameters),
    )
    deployment.save(path)
    unfinished.forget()
    say(f"wrote {path}")
    return deployment, True


def _require_cancun(creator: Creator) -> None:
    """Raise DeploymentError where the contracts could be created and not run."""
    if not creator.runs(CANCUN_PROBE):
        raise DeploymentError(
            f"chain {creator.chain_id} knows no transient storage (EIP-1153) or no memory copying (EIP-5656)",
            advice="Deploy to a chain with the Cancun upgrade, or start the local one without --hardfork.",
        )


def runs_on(web3: Web3, code: bytes) -> bool:
    """Whether the chain behind ``web3`` runs this creation code to its end. Raises ChainError when nobody answers."""
    with rpc_errors(url_of(web3)):
        try:
            web3.eth.call({"data": HexBytes(code)})
        except (ContractLogicError, Web3RPCError):
            return False
    return True


def _standing(creator: Creator, path: Path) -> Deployment | None:
    """The deployment that the file describes, if this chain still has it."""
    if not path.exists():
        return None
    found = Deployment.load(path)
    if found.chain_id != creator.chain_id:
        raise WrongChainError(
            f"{path} describes chain {found.chain_id}, this is chain {creator.chain_id}",
            advice="Write to another file, or use the right network.",
        )
    complete = all(creator.has_code(getattr(found, name)) for name in CONTRACT_FIELDS)
    if not complete and creator.chain_id not in DEVELOPMENT_CHAINS:
        raise DeploymentError(
            f"{path} names contracts that chain {creator.chain_id} does not have",
            advice="Move the file away if you really want to deploy again.",
        )
    return found if complete else None


class _Unfinished:
    """Contracts created so far, on disk after each, so that a crash wastes no gas."""

    def __init__(self, creator: Creator, path: Path, say: Callable[[str], None]) -> None:
        self.creator, self.path, self.say = creator, path, say
        self.done: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        if not all(creator.has_code(entry["address"]) for entry in self.done.values()):
            self.done = {}

    @property
    def first_block(self) -> int:
        return min(int(entry["block"]) for entry in self.done.values())

    def create(self, contract: str, *arguments: Any) -> str:
        given = json.loads(json.dumps(arguments))
        entry = self.done.get(contract)
        if entry is None or entry["arguments"] != given:
            address, block = self.creator.create(contract, *arguments)
            entry = self.done[contract] = {"address": address, "block": block, "arguments": given}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.done, indent=2))
            self.say(f"{contract} at {address}")
        return str(entry["address"])

    def foresee_dispute(self) -> str:
        """Where the dispute contract is, or will be; registry and market that wait for another are forgotten."""
        if "DisputeGame" in self.done:
            return str(self.done["DisputeGame"]["address"])
        waiting = self.done.get("NodeRegistry")
        foreseen = self.creator.foresee(2 - ("NodeRegistry" in self.done) - ("InferenceMarket" in self.done))
        if waiting is None or waiting["arguments"][2] == foreseen:
            return foreseen
        self.done = {
            name: entry for name, entry in self.done.items() if name not in ("NodeRegistry", "InferenceMarket")
        }
        return self.creator.foresee(2)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


class ArtefactCreator:
    """Creates contracts from the shipped artefacts with one wallet."""

    def __init__(self, web3: Web3, wallet: Wallet) -> None:
        self.web3, self.sender = web3, Sender(web3, wallet)
        with chain_errors(web3):
            self.chain_id = int(web3.eth.chain_id)

    def create(self, contract: str, *arguments: Any) -> tuple[str, int]:
        factory = self.web3.eth.contract(abi=abi(contract), bytecode=HexBytes(creation_code(contract)))
        address, mined = self.sender.deploy(factory.constructor(*arguments))
        return address, mined.block

    def foresee(self, creations: int) -> str:
        payer = self.sender.wallet.address
        with chain_errors(self.web3):
            return created_address(payer, self.web3.eth.get_transaction_count(payer, "pending") + creations)

    def has_code(self, address: str) -> bool:
        with chain_errors(self.web3):
            return bool(self.web3.eth.get_code(Web3.to_checksum_address(address)))

    def runs(self, code: bytes) -> bool:
        return runs_on(self.web3, code)
