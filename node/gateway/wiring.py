"""From settings to a service: networks, accounts, evidence, each opened once and closed in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI

from nexus_chain.chain.earnings import forfeited_lines
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.pool import PoolPolicy
from nexus_chain.errors import NexusError, SettingsError
from nexus_chain.settings import Settings
from nexus_chain.workflows.catalogue import catalogue
from nexus_chain.workflows.connected import Network
from nexus_chain.workflows.workspace import Workspace
from node.gateway.access.ledger_accounts import LedgerAccounts
from node.gateway.accounts import Accounts
from node.gateway.answer_checks import AnswerCheckDesk, CheckedVersion
from node.gateway.app import build_app
from node.gateway.auditing.audit_desk import AuditDesk, AuditLimits
from node.gateway.auditing.published_certificates import PublishedCertificates
from node.gateway.deps import Deps
from node.gateway.evidence import Evidence, load_signer
from node.gateway.evidence_store import EvidenceStore
from node.gateway.explorer.opening import open_explorer
from node.gateway.generation import OfferedModel
from node.gateway.known_models import KnownModels
from node.gateway.learning_panel import LearningPanel
from node.gateway.ledger.books import booked_balance, reserved, user
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.ledger.session_books import SessionBooks
from node.gateway.metrics import GatewayMetrics
from node.gateway.money import Money, open_money
from node.gateway.page_chain import page_chain
from node.gateway.radar.network_watch import radar_over
from node.gateway.service import PRICE_SECONDS, NetworkService
from node.gateway.settings import GatewaySettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gateway:
    """A gateway that is open: ``app`` serves it, and closes what a loop has to close when it ends.

    ``end_streams``: end what has no end of its own, in the loop, before a server waits for what it still serves.
    """

    app: FastAPI
    models: tuple[OfferedModel, ...]
    end_streams: Callable[[], None]


@contextmanager
def open_gateway(workspace: Workspace, settings: GatewaySettings, address: str) -> Iterator[Gateway]:
    """Connect to the network of each model, and open the books. ``address``: http://host:port where it listens.

    Raises SettingsError, UnavailableError (the database), ModelFilesError, WalletError and the chain package's errors.
    """
    with ExitStack() as stack:
        folder = workspace.home.root / "gateway"
        database = Database(settings.database or sqlite_url(folder / "gateway.sqlite"))
        stack.callback(database.close)
        networks, models = _networks(workspace, settings, stack)
        metrics = GatewayMetrics()
        evidence = Evidence(
            EvidenceStore(database, settings.keep_days), load_signer(folder / "signing.key"), metrics,
            settings.verify_rate,
        )  # fmt: skip
        money = open_money(workspace, settings, database, address, metrics, stack)
        service = NetworkService(networks, models, money.accounts, evidence, metrics, settings)
        money.sessions = _session_books(database, networks, money, service)
        audits = audit_desk(workspace.settings, settings, money.accounts) if settings.audits else None
        certificates, radar = PublishedCertificates(workspace), radar_over(workspace, networks, metrics)
        learning = LearningPanel(settings.distillation) if settings.distillation else None
        checks = _answer_checks(networks, models, settings)
        if checks is not None:
            stack.callback(checks.close)
        explorer = open_explorer(workspace, networks, lambda: service.models, lambda: service.paces)
        stack.callback(explorer.close)
        deps = Deps(
            service, money.accounts, money.desk, evidence, metrics, KnownModels(workspace.home),
            chain=page_chain(workspace, settings, money.deposit_contract), explorer=explorer,
            audits=audits, certificates=certificates, learning=learning, radar=radar, checks=checks,
            verifiers=settings.verifier,
        )  # fmt: skip

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            works = (money.keep_up(), _keep_ready(service), radar.keep_up(), explorer.run())
            upkeep = [asyncio.create_task(work) for work in works]
            try:
                yield
            finally:
                for task in upkeep:
                    task.cancel()
                await asyncio.gather(*upkeep, return_exceptions=True)
                if audits is not None:
                    await audits.close()
                await certificates.close()
                if learning is not None:
                    await learning.close()
                await service.close()
                await evidence.close()

        def end_streams() -> None:
            deps.leaving.set()
            explorer.feed.close()

        yield Gateway(build_app(deps, settings, lifespan), tuple(models), end_streams)


def audit_desk(shared: Settings, settings: GatewaySettings, accounts: Accounts) -> AuditDesk:
    """Where callers have audits run, with what the books say of their credit."""
    limits = AuditLimits(settings.audits)
    if not isinstance(accounts, LedgerAccounts):
        return AuditDesk(shared, limits)

    async def has_credit(account: str) -> bool:
        held = (user(account), reserved(account))
        return await accounts.read(lambda connection: any(booked_balance(connection, name) > 0 for name in held))

    return AuditDesk(shared, limits, has_credit=has_credit)


def _session_books(
    database: Database, networks: Mapping[str, Network], money: Money, service: NetworkService
) -> SessionBooks | None:
    """What compares the sessions with the books; None where there are no books, or nothing is served.

    Raises UnavailableError.
    """
    if not isinstance(money.accounts, LedgerAccounts) or not networks:
        return None
    for network in networks.values():
        for session in network.pool.sessions:
            # What a killed gateway left half paid counts as used as soon as the session is locked.
            with suppress(SessionStateError), session.lock.hold():
                pass
    client = next(iter(networks.values())).pool.client  # all have one home, and so one store
    made = SessionBooks(
        database,
        client.store,
        client.contracts.market,
        service.spending_under_way,
        partial(forfeited_lines, client.contracts),
    )
    made.begin()
    return made


def _answer_checks(
    networks: Mapping[str, Network], models: list[OfferedModel], settings: GatewaySettings
) -> AnswerCheckDesk | None:
    """What recomputes answers of other gateways; None where the operator names none."""
    if not settings.verify_for:
        return None
    versions: dict[bytes, CheckedVersion] = {}
    for model in models:
        network = networks[model.name]
        domain = network.client.contracts.domain
        # Asked each time, and not through the directory: a stranger's file may name nodes that are registered later.
        versions[model.version] = CheckedVersion(
            model,
            domain,
            network.client.contracts.nodes.receipt_key_of,
            lambda *words, known=network: known.own_weights.verify(*words),
        )
    return AnswerCheckDesk(settings.verify_for, versions)


async def _keep_ready(service: NetworkService) -> None:
    """Before somebody asks: know what models cost, and whether anybody serves them, and have a session with money."""
    while True:
        await service.refresh_prices()
        await service.open_sessions()
        await asyncio.sleep(PRICE_SECONDS)


def _networks(
    workspace: Workspace, settings: GatewaySettings, stack: ExitStack
) -> tuple[dict[str, Network], list[OfferedModel]]:
    """A network and what is offered of it, for each model that is wanted."""
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
    return networks, models


def _connect(workspace: Workspace, settings: GatewaySettings, version: str | None) -> Network:
    policy = PoolPolicy(tokens=settings.session_tokens, answers=settings.answers)
    return Network(workspace, workspace.library.choose(version), policy, settings.answers)


def _offer(workspace: Workspace, network: Network, name: str) -> OfferedModel:
    """What callers see of a network. A model that was given no name is called as its folder is."""
    record, files = workspace.library.record_of(network.version), network.files
    _ = files.codec, files.program  # read now, not in the first answer
    try:
        wei: int | None = network.wei_per_token()
        share = network.most_share()
    except NexusError as error:
        log.warning("No answer of %s can be had now: %s", name or files.folder.name, error)
        wei, share = None, 0
    published = workspace.chain.models.published_at(network.version)
    known = catalogue().get(name)
    return OfferedModel(
        name or files.folder.name,
        network.version,
        record.weights_root,
        files,
        published,
        wei,
        licence=known.licence if known is not None and known.weights_root == record.weights_root else "",
        source=record.manifest_cid,
        publisher=workspace.chain.models.publisher_of(network.version) or "",
        record=record,
        share=share,
    )
