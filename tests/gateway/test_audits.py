"""Audits that callers have run by a gateway: their verdicts, their limits, and that they end when they are told to."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_chain.certificates.audit import DISTILLATION_STEPS, STEPS, audit, step_titles
from nexus_chain.certificates.measurement import measure_folder
from nexus_chain.certificates.publication import Publication
from nexus_chain.certificates.signing import SignedDocument
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.local import DEVELOPMENT_KEYS, anvil
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.home import ClientHome
from nexus_chain.content.block_store import BlockStore
from nexus_chain.settings import Settings
from nexus_chain.workflows.audit_job import AuditJob
from node.gateway.access.ledger_accounts import LedgerAccounts
from node.gateway.accounts import READ, Caller
from node.gateway.auditing.audit_desk import AuditDesk, AuditLimits
from node.gateway.auditing.audit_run import BROKEN, CANCELLED, RUNNING, WAITING, AuditRun
from node.gateway.errors import LimitReachedError, UnavailableError
from node.gateway.ledger.books import OPERATOR, post, reserved, user
from node.gateway.ledger.database import Database, sqlite_url
from node.gateway.open_accounts import SingleKeyAccounts
from node.gateway.settings import GatewaySettings
from node.gateway.shared_places import OWN_MACHINE
from node.gateway.wiring import audit_desk
from tests.support.page_app import ALICE, BLIND, BOB, events_in, keyed, page_client
from tests.support.tiny_publication import HELD_OUT, TRAINING, FloatModel, train

CALLER = Caller("0xAlice", frozenset({READ}))
CID = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
SILENT = """
import json, os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(json.dumps({"titles": [str(os.getpid()), os.environ["TMPDIR"]]}), flush=True)
time.sleep(600)
"""
"""An audit that goes on for ever, and does not listen."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that do not listen are ended at once."""
    monkeypatch.setattr("node.gateway.auditing.audit_run._PATIENCE", 0.05)


@dataclass(frozen=True)
class CertifiedChain:
    """A home whose blocks hold two signed certificates: one is anchored and right, one has another's signature."""

    settings: Settings
    contracts: Contracts
    store: BlockStore
    right: SignedDocument
    forged: SignedDocument


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertifiedChain]:
    folder = tmp_path_factory.mktemp("certified")
    trained = folder / "tiny"
    trained.mkdir()
    train(trained)
    measure_folder(trained, TRAINING, HELD_OUT, FloatModel(trained), sample_tokens=150)
    home = ClientHome(folder / "home").prepare()
    store = BlockStore(home.blocks)
    with anvil() as chain:
        publisher = Wallet.from_hex(DEVELOPMENT_KEYS[1])
        path = folder / "deployment.json"
        deployment, _ = deploy(
            ArtefactCreator(chain.connection, publisher), publisher.address, preset="local", path=path
        )
        contracts = Contracts.at(chain.connection, deployment, publisher)
        publication = Publication.prepare(trained, store, "1.0.0")
        roots, layers = publication.commitment, publication.model.program.shape.layers
        version = ModelVersion(
            roots.weights_root, roots.program_root, publication.tokenizer_sha256, 1, layers, SemVer(1, 0, 0),
            publication.manifest_cid,
        )  # fmt: skip
        version_id, _ = contracts.models.publish(version)
        right = publication.certificate(publisher.address, version_id).sign(publisher)
        contracts.certificates.anchor(version_id, str(store.add_bytes(right.to_bytes())), right.content_hash)
        forged = replace(right, signature=right.certificate.signature_by(Wallet.from_hex(DEVELOPMENT_KEYS[2])))
        store.add_bytes(forged.to_bytes())
        settings = Settings(home=home.root, rpc=chain.rpc_url, deployment=path)
        yield CertifiedChain(settings, contracts, store, right, forged)


async def audited(client: httpx.AsyncClient, cid: str) -> list[tuple[str, Any]]:
    """All events of an audit."""
    begun = await client.post("/page/audits", json={"cid": cid}, headers=keyed(ALICE))
    assert begun.status_code == 201, begun.text
    return events_in(await client.get(f"/page/audits/{begun.json()['id']}/events", headers=keyed(ALICE)))


def test_a_right_certificate_passes_and_a_forged_one_fails_at_the_signature(certified: CertifiedChain) -> None:
    desk = AuditDesk(certified.settings, AuditLimits())

    async def work() -> None:
        async with page_client(audits=desk) as client:
            said = await audited(client, str(certified.right.cid))
            assert [name for name, _ in said] == ["titles", *["step"] * len(STEPS), "report", "end"]
            assert said[0][1] == [title for title, _ in STEPS]
            own = audit(str(certified.right.cid), certified.store, certified.contracts)
            assert said[-2][1] == own.to_dict(), "as anybody finds it"
            assert said[-1][1] == {"state": "passed", "reason": ""}

            said = await audited(client, str(certified.forged.cid))
            steps = [data for name, data in said if name == "step"]
            assert [step["passed"] for step in steps] == [True, True, False]
            assert (steps[-1]["number"], steps[-1]["title"]) == (3, "publisher's signature")
            assert said[-1][1]["state"] == "failed"
            listed = (await client.get("/page/audits", headers=keyed(ALICE))).json()
            assert [one["state"] for one in listed] == ["failed", "passed"]
            report = await client.get(f"/page/audits/{listed[0]['id']}", headers=keyed(ALICE))
            assert report.json()["report"] == said[-2][1]

            missing = await audited(client, CID)
            assert (missing[1][1]["number"], missing[1][1]["passed"]) == (1, False)
            assert str(certified.settings.home) not in str(missing), "where the operator keeps things"
            assert "NEXUS_HOME" in str(missing)

    asyncio.run(work())


@asynccontextmanager
async def silent_desk(*paying: str, **limits: Any) -> AsyncIterator[AuditDesk]:
    """A desk whose audits go on for ever; ended with the block. ``paying``: accounts with credit."""

    async def has_credit(account: str) -> bool:
        return account in paying

    command = (sys.executable, "-c", SILENT)
    desk = AuditDesk(Settings(home=Path("/nowhere")), AuditLimits(**limits), command, has_credit)
    try:
        yield desk
    finally:
        await desk.close()


async def begun(run: AuditRun) -> tuple[int, Path]:
    """Process id and folder of a silent audit, once it lives."""
    async for said in run.follow():
        return int(said.data[0]), Path(said.data[1])
    raise AssertionError("it ended")


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_cancelled_audit_leaves_neither_process_nor_files() -> None:
    async def work() -> None:
        async with silent_desk() as desk, page_client(audits=desk) as client:
            id = (await client.post("/page/audits", json={"cid": CID}, headers=keyed(ALICE))).json()["id"]
            process, folder = await begun(desk.find(CALLER, id))
            assert lives(process)
            assert folder.is_dir()
            following = asyncio.create_task(client.get(f"/page/audits/{id}/events", headers=keyed(ALICE)))
            assert (await client.delete(f"/page/audits/{id}", headers=keyed(BOB))).status_code == 404
            assert lives(process), "nobody ends another's"
            assert (await client.delete(f"/page/audits/{id}", headers=keyed(ALICE))).status_code == 204
            assert not lives(process)
            assert not folder.exists()
            assert events_in(await following)[-1] == ("end", {"state": CANCELLED, "reason": ""})
            assert (await client.delete(f"/page/audits/{id}", headers=keyed(ALICE))).status_code == 204, "again"

    asyncio.run(work())


def test_one_audit_for_an_account_and_a_few_in_all() -> None:
    async def work() -> None:
        async with silent_desk(at_once=1) as desk, page_client(audits=desk) as client:

            async def status(key: str, cid: str = CID) -> int:
                return (await client.post("/page/audits", json={"cid": cid}, headers=keyed(key))).status_code

            first = (await client.post("/page/audits", json={"cid": CID}, headers=keyed(ALICE))).json()["id"]
            assert await status(ALICE) == 429
            assert await status(BLIND) == 403
            assert await status("none") == 401
            assert await status(BOB, "bafk-no-cid") == 400
            assert await status(BOB, "b" * 200) == 400
            assert (await client.get(f"/page/audits/{first}", headers=keyed(BOB))).status_code == 404
            waiting = (await client.post("/page/audits", json={"cid": CID}, headers=keyed(BOB))).json()
            assert waiting["state"] == WAITING
            assert await status(BOB) == 429, "also while it waits"
            await desk.find(CALLER, first).cancel()
            answer = await client.get(f"/page/audits/{waiting['id']}", headers=keyed(BOB))
            assert answer.json()["state"] == RUNNING

    asyncio.run(work())


def caller(account: str) -> Caller:
    return Caller(account, frozenset({READ}))


async def started(desk: AuditDesk, *accounts: str, address: str = OWN_MACHINE) -> list[AuditRun]:
    return [await desk.begin(caller(account), CID, 1, address) for account in accounts]


def places(run: AuditRun) -> list[int]:
    """Every place in the queue that was told."""
    return [event.data for event in run.events if event.name == "place"]


def test_throwaway_accounts_leave_a_place_for_one_with_credit() -> None:
    async def work() -> None:
        async with silent_desk("payer", at_once=3) as desk:
            free = await started(desk, "a", "b", "c", "d")
            assert [run.state for run in free] == [RUNNING, RUNNING, WAITING, WAITING]
            (paid,) = await started(desk, "payer")
            assert paid.state == RUNNING
        async with silent_desk("payer", at_once=1) as desk:
            assert [run.state for run in await started(desk, "a", "payer")] == [RUNNING, WAITING], "it is the only one"

    asyncio.run(work())


def test_those_with_credit_come_first_and_each_is_told_its_place() -> None:
    async def work() -> None:
        async with silent_desk("p", "q", at_once=1) as desk:
            first, free, paid, later = await started(desk, "a", "b", "p", "q")
            assert [places(run) for run in (first, free, paid, later)] == [[], [1, 2, 3], [1], [2]]
            await desk.cancel(caller("q"), later.id)
            assert (later.state, places(free)[-1]) == (CANCELLED, 2)
            await desk.cancel(caller("a"), first.id)
            assert (paid.state, places(paid), places(free)[-1]) == (RUNNING, [1, 0], 1)
            await paid.cancel()
            await asyncio.sleep(0)
            assert (free.state, places(free)[-1]) == (RUNNING, 0)
        assert all(run.has_ended for run in (first, free, paid, later))

    asyncio.run(work())


def test_the_queue_is_bounded_and_half_of_it_is_for_those_with_credit() -> None:
    async def work() -> None:
        async with silent_desk("p", "q", "r", "s", "t", at_once=1, waiting=4) as desk:
            await started(desk, "a", "b", "c")
            with pytest.raises(UnavailableError, match="2 audits wait"):
                await started(desk, "d")
            await started(desk, "p", "q")
            with pytest.raises(UnavailableError, match="4 audits wait"):
                await started(desk, "r")

    asyncio.run(work())


def test_accounts_without_credit_have_few_audits_from_one_address() -> None:
    async def work() -> None:
        async with silent_desk("p", at_once=4) as desk:
            await started(desk, "a", "b", address="203.0.113.7")
            with pytest.raises(LimitReachedError, match="your address"):
                await started(desk, "c", address="203.0.113.7")
            await started(desk, "p", address="203.0.113.7")
            await started(desk, "c", address="203.0.113.8")

    asyncio.run(work())


def test_credit_is_what_the_books_say(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "gateway.sqlite"))
    database.write(partial(post, key="1", kind="test", moves={OPERATOR: -5, user("payer"): 3, reserved("busy"): 2}))
    accounts = LedgerAccounts(database)

    async def work() -> None:
        desk = audit_desk(Settings(home=tmp_path), GatewaySettings(), accounts)
        found = [await desk.has_credit(account) for account in ("payer", "busy", "throwaway")]
        assert found == [True, True, False]
        assert await audit_desk(Settings(home=tmp_path), GatewaySettings(), SingleKeyAccounts("k")).has_credit("any")

    asyncio.run(work())
    accounts.close()
    database.close()


def test_an_audit_without_credit_has_less_time() -> None:
    async def work() -> None:
        async with silent_desk("p", at_once=2, seconds=600.0, free_seconds=0.2) as desk:
            free, paid = await started(desk, "a", "p")
            assert [event.name async for event in free.follow()][-1] == "end"
            assert (free.state, paid.state) == (BROKEN, RUNNING)

    asyncio.run(work())


def test_an_audit_that_takes_too_long_or_dies_is_no_verdict() -> None:
    async def ended(seconds: float, script: str) -> tuple[str, str]:
        job = AuditJob(Settings(home=Path("/nowhere")), CID, 1)
        run = AuditRun("1", "0xAlice", job, seconds, (sys.executable, "-c", script))
        run.start()
        said = [event async for event in run.follow()]
        return run.state, said[-1].data["reason"]

    async def work() -> None:
        assert await ended(0.2, SILENT) == (BROKEN, "the audit took longer than 0 seconds")
        assert await ended(60, "print('hello')") == (BROKEN, "the audit's process ended before its report")
        assert await ended(60, 'print(\'{"error": "no chain"}\')') == (BROKEN, "no chain")

    asyncio.run(work())


def test_a_gateway_without_audits_says_how_to_do_it_alone() -> None:
    async def work() -> None:
        async with page_client() as client:
            refused = await client.post("/page/audits", json={"cid": CID}, headers=keyed(ALICE))
            assert refused.status_code == 404
            assert "nexus audit" in refused.text

    asyncio.run(work())


def test_reports_of_long_ago_are_forgotten() -> None:
    async def work() -> None:
        limits = AuditLimits(at_once=8, kept=2)
        desk = AuditDesk(Settings(home=Path("/nowhere")), limits, (sys.executable, "-c", ""))
        runs = []
        for _ in range(4):
            runs.append(await desk.begin(CALLER, CID, 1))
            assert [event.name async for event in runs[-1].follow()] == ["end"]
        await desk.close()
        assert [run.id for run in desk.of(CALLER)] == [run.id for run in reversed(runs[-2:])]

    asyncio.run(work())


def test_a_job_is_read_back_as_it_was() -> None:
    settings = Settings(home=Path("/h"), rpc="http://a/KEY,http://b", deployment=Path("/d"), operators=("0x1", "0x2"))
    job = AuditJob(settings, CID, 7)
    assert AuditJob.from_json(job.to_json()) == job


def test_titles_are_those_of_the_documents_kind(certified: CertifiedChain) -> None:
    assert step_titles(certified.right.to_bytes()) == tuple(title for title, _ in STEPS)
    learned = b'{"certificate":{"format":"nexus.distillation.v1"}}'
    assert step_titles(learned) == tuple(title for title, _ in DISTILLATION_STEPS)
