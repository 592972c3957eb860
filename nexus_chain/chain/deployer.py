"""The order in which the contracts are created, with which numbers, and what is written down.

Who creates them (ape, or a wallet here) is the caller's business: a ``Creator``. All create the shipped artefacts.
Running twice changes nothing; running after a crash goes on where it stopped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from nexus_chain.chain.connection import ChainConnection
from nexus_chain.chain.contracts import DEFAULT_SENDING, Sending
from nexus_chain.chain.deployment import CONTRACT_FIELDS, Deployment
from nexus_chain.chain.errors import (
    ChainError,
    ContractRevertedError,
    DeploymentError,
    RpcRefusedError,
    UnfundedWalletError,
    WrongChainError,
)
from nexus_chain.chain.interfaces import CONTRACTS, abi, creation_code, deployed_size
from nexus_chain.chain.wallet import Wallet
from nexus_chain.json_text import parse_json
from nexus_chain.market.documents import checksum
from nexus_chain.staging import write_whole

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

    def code_size(self, address: str) -> int:
        """Bytes of the contract at ``address`` now; 0 where there is none."""
        ...

    def runs(self, code: bytes) -> bool:
        """Whether the chain runs this creation code to its end; asked, not sent."""
        ...


def created_address(creator: str, nonce: int) -> str:
    """Address of the contract that ``creator`` creates in its transaction number ``nonce``."""
    from web3.types import Nonce  # slow to import, and most that know of deployments make none
    from web3.utils import get_create_address

    return str(get_create_address(checksum(creator), Nonce(nonce)))


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
    again: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Deployment, bool]:
    """Create what is missing, write the deployment file; returns it and whether anything was created.

    ``beneficiary`` may spend what reaches the Genesis Vault, and nothing else. ``again``: create new contracts although
    some stand; the file of those is kept beside the new one. Raises DeploymentError, which says what stands by then.
    """
    parameters = check_preset(preset, creator.chain_id, expected_chain_id)
    path = path or Deployment.path_for(creator.chain_id)
    standing = None if again else _standing(creator, path)
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
    try:
        deployment = _create_all(creator, unfinished, beneficiary, preset, parameters)
    except ChainError as error:
        raise unfinished.broken_off(error) from error
    _set_aside(path)
    deployment.save(path)
    unfinished.forget()
    say(f"wrote {path}")
    return deployment, True


def _create_all(
    creator: Creator, unfinished: _Unfinished, beneficiary: str, preset: str, parameters: DeploymentParameters
) -> Deployment:
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
    return Deployment(
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


def _set_aside(path: Path) -> None:
    """Keep the file of an earlier deployment: money may be locked in its contracts."""
    if path.exists():
        number = next(n for n in count(1) if not path.with_suffix(f".old-{n}.json").exists())
        os.link(path, path.with_suffix(f".old-{number}.json"))


def _require_cancun(creator: Creator) -> None:
    """Raise DeploymentError where the contracts could be created and not run."""
    if not creator.runs(CANCUN_PROBE):
        raise DeploymentError(
            f"chain {creator.chain_id} knows no transient storage (EIP-1153) or no memory copying (EIP-5656)",
            advice="Deploy to a chain with the Cancun upgrade, or start the local one without --hardfork.",
        )


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
    complete = all(creator.code_size(getattr(found, name)) for name in CONTRACT_FIELDS)
    if not complete and creator.chain_id not in DEVELOPMENT_CHAINS:
        raise DeploymentError(
            f"{path} names contracts that chain {creator.chain_id} does not have",
            advice="Move the file away if you really want to deploy again.",
        )
    return found if complete else None


class _Unfinished:
    """Contracts created so far, on disk before and after each, so that a crash wastes no gas.

    An entry without a block was being created when the program ended: it counts if the contract is there.
    """

    def __init__(self, creator: Creator, path: Path, say: Callable[[str], None]) -> None:
        self.creator, self.path, self.say = creator, path, say
        found = self._read()
        begun = [name for name, entry in found.items() if entry["block"] is None]
        standing = {name: entry for name, entry in found.items() if self._stands(name, entry)}
        # A contract that was finished and is gone: the chain was reset.
        self.done = standing if set(found) - set(standing) <= set(begun) else {}

    @property
    def first_block(self) -> int:
        return min((entry["block"] for entry in self.done.values() if entry["block"] is not None), default=0)

    def create(self, contract: str, *arguments: Any) -> str:
        given = json.loads(json.dumps(arguments))
        entry = self.done.get(contract)
        if entry is None or entry["arguments"] != given:
            self._note(contract, self.creator.foresee(0), None, given)
            try:
                address, block = self.creator.create(contract, *arguments)
            except (UnfundedWalletError, ContractRevertedError):
                del self.done[contract]  # nothing was sent
                raise
            self._note(contract, address, block, given)
            self.say(f"{contract} at {address}")
        return str(self.done[contract]["address"])

    def broken_off(self, cause: ChainError) -> DeploymentError:
        """``cause``, with the contracts that stand."""
        names = [f"{name} at {entry['address']}" for name, entry in self.done.items() if entry["block"] is not None]
        stand = f"{len(names)} of {len(CONTRACT_FIELDS)} contracts stand" + (f": {', '.join(names)}" if names else "")
        return DeploymentError(
            f"{cause.message.rstrip('.')}; {stand}",
            advice=f"{cause.advice} Then run the command again: it goes on from there.",
        )

    def _note(self, contract: str, address: str, block: int | None, arguments: Any) -> None:
        self.done[contract] = {"address": address, "block": block, "arguments": arguments}
        write_whole(self.path, json.dumps(self.done, indent=2))

    def _stands(self, contract: str, entry: dict[str, Any]) -> bool:
        return self.creator.code_size(entry["address"]) == deployed_size(contract)

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        try:
            found = parse_json(self.path.read_bytes())
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(_is_entry(name, entry) for name, entry in found.items()):
            raise DeploymentError(f"{self.path} is damaged", advice="Move it away to deploy from the beginning.")
        return found

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


def _is_entry(name: str, entry: Any) -> bool:
    return name in CONTRACTS and isinstance(entry, dict) and {"address", "block", "arguments"} <= set(entry)


class ArtefactCreator:
    """Creates contracts from the shipped artefacts with one wallet."""

    def __init__(self, connection: ChainConnection, wallet: Wallet, sending: Sending = DEFAULT_SENDING) -> None:
        self.connection, self.sender = connection, sending.sender(connection, wallet)
        self.chain_id = connection.chain_id()

    def create(self, contract: str, *arguments: Any) -> tuple[str, int]:
        factory = self.connection.web3.eth.contract(abi=abi(contract), bytecode=creation_code(contract))
        address, mined = self.sender.deploy(factory.constructor(*arguments))
        return address, mined.block

    def foresee(self, creations: int) -> str:
        payer = self.sender.wallet.address
        return created_address(payer, self.connection.transaction_count(payer, "pending") + creations)

    def code_size(self, address: str) -> int:
        return len(self.connection.code(checksum(address)))

    def runs(self, code: bytes) -> bool:
        try:
            self.connection.call({"data": code})
        except (ContractRevertedError, RpcRefusedError):
            return False
        return True
