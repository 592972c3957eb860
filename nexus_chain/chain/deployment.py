"""Where the contracts are on one chain: a small JSON file, written by ``nexus deploy``.

``$NEXUS_HOME/deployments/<chain id>.json`` unless another path is given. Knows addresses,
not ABIs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nexus_chain.chain.errors import DeploymentError
from nexus_chain.json_text import parse_json
from nexus_chain.market.documents import Domain, checksum
from nexus_chain.settings import nexus_home
from nexus_chain.staging import write_whole


@dataclass(frozen=True)
class Deployment:
    """Addresses of the contracts on one chain, and what they were deployed with.

    ``parameters`` holds the constructor's numbers (seconds and wei) for people to read; programs ask the
    contracts. ``block`` is where event readers start.
    """

    chain_id: int
    node_registry: str
    model_registry: str
    inference_market: str
    genesis_vault: str
    certificate_registry: str
    step_verifier: str
    dispute_game: str
    block: int = 0
    preset: str = ""
    parameters: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in CONTRACT_FIELDS:
            object.__setattr__(self, name, checksum(getattr(self, name)))

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain that this deployment's documents are signed under."""
        return Domain(self.chain_id, self.inference_market)

    @staticmethod
    def path_for(chain_id: int, home: Path | None = None) -> Path:
        """The file that describes the deployment on ``chain_id``."""
        return (home or nexus_home()) / "deployments" / f"{chain_id}.json"

    def save(self, path: Path | None = None) -> Path:
        """Write the file at once or not at all; returns where."""
        path = path or self.path_for(self.chain_id)
        write_whole(path, json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")
        return path

    @classmethod
    def load(cls, source: Path | int) -> Deployment:
        """Read a file, or the one for a chain id. Raises DeploymentError."""
        path = cls.path_for(source) if isinstance(source, int) else source
        try:
            data = parse_json(path.read_bytes())
        except FileNotFoundError:
            raise DeploymentError(
                f"there is no deployment file {path}",
                advice="Deploy with `nexus deploy`, or copy the operator's file there.",
            ) from None
        except (OSError, ValueError) as error:
            raise DeploymentError(f"{path} is not a deployment file: {error}", advice="Deploy again.") from error
        return cls._from_data(data, path)

    @classmethod
    def _from_data(cls, data: Any, path: Path) -> Deployment:
        known = {f.name for f in fields(cls)}
        required = {"chain_id", *CONTRACT_FIELDS}
        if not isinstance(data, dict) or not required <= set(data) <= known or not isinstance(data["chain_id"], int):
            raise DeploymentError(f"{path} does not describe a deployment", advice="Deploy again.")
        return cls(**data)


#: Deployment field of each contract, and the contract's name.
CONTRACT_FIELDS: dict[str, str] = {
    "genesis_vault": "GenesisVault",
    "model_registry": "ModelRegistry",
    "node_registry": "NodeRegistry",
    "inference_market": "InferenceMarket",
    "certificate_registry": "CertificateRegistry",
    "step_verifier": "StepVerifier",
    "dispute_game": "DisputeGame",
}
