"""From settings to a service: networks, accounts, evidence, each opened once and closed in order."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from nexus_chain.client.pool import PoolPolicy
from nexus_chain.errors import NexusError, SettingsError
from nexus_chain.workflows.connected import Network
from nexus_chain.workflows.workspace import Workspace
from node.gateway.accounts import Accounts
from node.gateway.app import build_app
from node.gateway.deps import Deps
from node.gateway.evidence import Evidence, load_signer
from node.gateway.evidence_store import EvidenceStore, Transactions
from node.gateway.generation import OfferedModel
from node.gateway.metrics import GatewayMetrics
from node.gateway.open_accounts import SingleKeyAccounts
from node.gateway.service import NetworkService
from node.gateway.settings import GatewaySettings

log = logging.getLogger(__name__)

SHORTEST_KEY = 16


@dataclass(frozen=True)
class Gateway:
    """A gateway that is open: ``app`` serves it, and closes what a loop has to close when it ends."""

    app: FastAPI
    models: tuple[OfferedModel, ...]
    deps: Deps


@contextmanager
def open_gateway(
    workspace: Workspace, settings: GatewaySettings, accounts: Accounts, database: Transactions
) -> Iterator[Gateway]:
    """Connect to the network of each model. ``database`` holds the evidence; who opened it closes it.

    Raises SettingsError, ModelFilesError, WalletError and the chain package's errors.
    """
    with ExitStack() as stack:
        networks: dict[str, Network] = {}
        models: list[OfferedModel] = []
        for name, version in settings.wanted or [("", None)]:
            network = _connect(workspace, settings, version)
            stack.callback(network.close)
            offered = _offer(workspace, network, name)
            if offered.name in networks:
                raise SettingsError(f"two models are named {offered.name}", advice="Give each another name.")
            networks[offered.name] = network
            models.append(offered)
        metrics = GatewayMetrics()
        signer = load_signer(workspace.home.root / "gateway" / "signing.key")
        evidence = Evidence(EvidenceStore(database, settings.keep_days), signer, metrics, settings.verify_rate)
        service = NetworkService(networks, models, accounts, evidence, metrics, settings)
        deps = Deps(service, accounts, evidence, metrics)

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            try:
                yield
            finally:
                await service.close()
                await evidence.close()

        yield Gateway(build_app(deps, settings, lifespan), tuple(models), deps)


def single_key_accounts(file: Path) -> SingleKeyAccounts:
    """Accounts with the key in ``file``. Raises SettingsError."""
    try:
        key = file.read_text().strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read", advice="Give a file that holds the key.") from error
    if len(key) < SHORTEST_KEY:
        raise SettingsError(f"the key in {file} is too short", advice=f"Give {SHORTEST_KEY} characters or more.")
    return SingleKeyAccounts(key)


def _connect(workspace: Workspace, settings: GatewaySettings, version: str | None) -> Network:
    policy = PoolPolicy(tokens=settings.session_tokens, answers=settings.answers)
    return Network(workspace, workspace.library.choose(version), policy, settings.answers)


def _offer(workspace: Workspace, network: Network, name: str) -> OfferedModel:
    """What callers see of a network. A model that was given no name is called as its folder is."""
    record, files = workspace.library.record_of(network.version), network.files
    _ = files.codec, files.program  # read now, not in the first answer
    try:
        wei: int | None = network.wei_per_token()
    except NexusError as error:
        log.warning("No answer of %s can be had now: %s", name or files.folder.name, error)
        wei = None
    published = workspace.chain.models.published_at(network.version)
    return OfferedModel(
        name or files.folder.name, network.version, record.weights_root, files, published, wei, source=record.manifest_cid
    )
