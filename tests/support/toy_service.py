"""The gateway's service over the toy network: real sessions, vouchers and receipts; no chain and no sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from eth_account import Account

from nexus_chain.client.answer_threads import AnswerThreads
from nexus_chain.client.pool import PoolPolicy, SessionPool
from nexus_chain.evidence.verify import VerificationReport
from node.gateway.accounts import Caller
from node.gateway.evidence import Evidence
from node.gateway.evidence_store import EvidenceStore
from node.gateway.generation import OfferedModel, TokenScore
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.metrics import GatewayMetrics
from node.gateway.open_accounts import SingleKeyAccounts
from node.gateway.service import NetworkService
from node.gateway.settings import GatewaySettings
from tests.support.toy_market import ToyWorld
from tests.support.toy_network import expected_tokens

Found = TypeVar("Found")

MODEL = "toy"
PRICE = 20
"""Wei for a position: both segments."""
KEY = "sk-nexus-toy-key"


@dataclass
class ToyService:
    """A service and what it stands on."""

    world: ToyWorld
    service: NetworkService
    accounts: SingleKeyAccounts
    evidence: Evidence
    metrics: GatewayMetrics
    network: Any
    recomputed: list[Any] = field(default_factory=list)

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def toy_service(world: ToyWorld, folder: Path, **settings: Any) -> Iterator[ToyService]:
    """A service for one model, which is closed by whoever has the loop. ``settings``: fields of GatewaySettings."""
    files: Any = world.files
    own = GatewaySettings(**{"verify_rate": 0.0, **settings})
    database = Database(sqlite_url(folder / "gateway.sqlite"))
    threads = AnswerThreads(4)
    with world.client() as client, SessionPool(client, world.version, files, PoolPolicy(tokens=1_000)) as pool:
        recomputed: list[Any] = []
        network: Any = SimpleNamespace(
            pool=pool,
            aio=SimpleNamespace(threads=threads),
            wei_per_token=lambda: PRICE,
            most_share=lambda: world.share,
            own_weights=SimpleNamespace(are_here=False),
            recompute=lambda answer: recomputed.append(answer) or VerificationReport((), (), True),
        )
        metrics, accounts = GatewayMetrics(), SingleKeyAccounts(KEY)
        evidence = Evidence(EvidenceStore(database), Account.create(), metrics, own.verify_rate)
        offered = OfferedModel(MODEL, world.version, bytes(32), files, 0)
        service = NetworkService({MODEL: network}, [offered], accounts, evidence, metrics, own)
        try:
            yield ToyService(world, service, accounts, evidence, metrics, network, recomputed)
        finally:
            threads.close()
            database.close()


async def score_prompt(toy: ToyService, caller: Caller, prompt: Sequence[int]) -> Sequence[TokenScore]:
    """Log-probabilities of a prompt alone."""
    async with toy.service.scoring(caller, MODEL, prompt, 0) as score:
        return await score(prompt, 0)


def run_service(toy: ToyService, work: Callable[[], Awaitable[Found]]) -> Found:
    """``work`` in a loop, whose service is closed before the loop is."""

    async def whole() -> Found:
        try:
            return await work()
        finally:
            await toy.service.close()
            await toy.evidence.close()

    return asyncio.run(whole())


def toy_text(prompt: list[int], count: int) -> str:
    """What the toy model answers."""
    return "".join(f"{token} " for token in expected_tokens(prompt, count, 2))
