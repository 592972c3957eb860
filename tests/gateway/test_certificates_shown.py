"""Versions, certificates, examples and archives, as callers get them from a gateway."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import httpx
import pytest

from nexus_chain.certificates.audit import audit
from nexus_chain.certificates.measurement import measure_folder
from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.chain.rpc_answers import BlockHead
from nexus_chain.client.home import ClientHome
from nexus_chain.content.block_store import BlockStore
from nexus_chain.content.car import CarFile
from nexus_chain.content.record_lines import RecordProof
from nexus_chain.market.documents import Domain
from nexus_chain.settings import Settings
from nexus_chain.workflows import certificates
from nexus_chain.workflows.lineage import Lineage
from nexus_chain.workflows.workspace import Workspace
from node.gateway.auditing import published_certificates
from node.gateway.auditing.published_certificates import PublishedCertificates
from node.gateway.errors import NotFoundError
from node.gateway.sent_file import SMALL_BYTES, SentBytes, new_transfers
from node.gateway.shared_places import SharedPlaces
from node.gateway.single_flight import SingleFlight
from tests.support.page_app import ALICE, BLIND, BOB, keyed, page_client
from tests.support.tiny_distillation import Distilled, distil
from tests.support.tiny_publication import HELD_OUT, TRAINING, FloatModel, Registries, publish, train

ADDRESS = "0x" + "11" * 20
CID_OF_NOBODY = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@dataclass
class ListedRegistries:
    """The two registries, with what a gateway asks of the contracts besides. ``asked``: versions that were read.

    ``blocks``: of the chain, by number.
    """

    known: Registries
    address: str = ADDRESS
    asked: int = 0
    blocks: list[BlockHead] = field(default_factory=lambda: [BlockHead(0, b"a" * 32, 1 << 40)])
    asked_anchors: int = 0

    @property
    def connection(self) -> ListedRegistries:
        return self

    def block(self) -> BlockHead:
        return self.blocks[-1]

    def find_block(self, number: int) -> BlockHead | None:
        return self.blocks[number] if number < len(self.blocks) else None

    @property
    def domain(self) -> Domain:
        return Domain(31_337, ADDRESS)

    @property
    def certificates(self) -> ListedRegistries:
        return self

    @property
    def models(self) -> ListedRegistries:
        return self

    def certificate(self, version: bytes) -> AnchoredCertificate | None:
        self.asked_anchors += 1
        return self.known.certificate(version)

    def publisher_of(self, version: bytes) -> str | None:
        return self.known.publisher_of(version)

    def version(self, version: bytes) -> ModelVersion:
        self.asked += 1
        return self.known.version(version)

    def versions(self) -> Iterator[bytes]:
        return iter(self.known.published)


@dataclass(frozen=True)
class World:
    """A home with a distilled version's blocks, and its chain."""

    workspace: Workspace
    chain: ListedRegistries
    distilled: Distilled

    @property
    def cid(self) -> str:
        return self.distilled.cid


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("certified")
    trained = folder / "tiny"
    trained.mkdir()
    train(trained)
    measure_folder(trained, TRAINING, HELD_OUT, FloatModel(trained), sample_tokens=150)
    workspace = Workspace(Settings(home=folder / "home"))
    store = BlockStore(ClientHome(folder / "home").prepare().blocks)
    distilled = distil(publish(trained, store), folder / "distilled", store)
    chain = ListedRegistries(distilled.chain)
    workspace.__dict__["chain"] = cast(Any, chain)
    return World(workspace, chain, distilled)


def asked(world: World, path: str, key: str | None = None) -> httpx.Response:
    async def work() -> httpx.Response:
        shown = PublishedCertificates(world.workspace)
        async with page_client(certificates=shown) as client:
            answer = await client.get(path, headers=keyed(key) if key else {})
        await shown.close()
        return answer

    return asyncio.run(work())


def test_versions_are_listed_with_parents_and_certificates(world: World) -> None:
    told = asked(world, "/page/versions").json()
    assert (told["chain_id"], told["certificate_registry"], told["audits"]) == (31_337, ADDRESS, False)
    parent, child = told["versions"]
    assert (parent["parent"], child["parent"]) == (None, parent["version"])
    assert child["certificate"]["cid"] == world.cid
    assert child["certificate"]["sha256"] == "0x" + sha256(world.distilled.signed.to_bytes()).hexdigest()
    assert (child["name"], child["semver"]) == ("tiny", "1.1.0")


def test_a_version_is_read_once_and_a_certificate_until_it_is_anchored(world: World) -> None:
    chain = ListedRegistries(Registries({}, dict(world.chain.known.published)))
    workspace = Workspace(world.workspace.settings)
    workspace.__dict__["chain"] = cast(Any, chain)
    lineage = Lineage(workspace)
    assert [one.certificate for one in lineage.read()] == [None, None]
    chain.known.anchors.update(world.chain.known.anchors)
    assert all(one.certificate is not None for one in lineage.read())
    assert (chain.asked, chain.asked_anchors) == (2, 4)
    chain.blocks.append(BlockHead(1, b"b" * 32, (1 << 40) + 1))
    assert all(one.certificate is not None for one in lineage.read())
    assert (chain.asked, chain.asked_anchors) == (2, 4), "nothing is asked again"


def test_an_anchor_whose_block_was_replaced_is_told_no_more(world: World) -> None:
    chain = ListedRegistries(Registries({}, dict(world.chain.known.published)))
    workspace = Workspace(world.workspace.settings)
    workspace.__dict__["chain"] = cast(Any, chain)
    lineage, anchors = Lineage(workspace), world.chain.known.anchors
    chain.known.anchors.update(anchors)
    assert all(one.certificate is not None for one in lineage.read())
    chain.blocks[-1] = replace(chain.blocks[-1], hash=b"b" * 32)
    chain.known.anchors.clear()
    assert [one.certificate for one in lineage.read()] == [None, None]


def test_an_anchor_of_a_later_block_than_was_looked_at_is_asked_for_again(world: World) -> None:
    """The block that anchors comes after the head was read: that head stands, also where the block is replaced."""
    chain = ListedRegistries(Registries({}, dict(world.chain.known.published)))
    chain.blocks = [BlockHead(0, b"a" * 32, 5)]
    workspace = Workspace(world.workspace.settings)
    workspace.__dict__["chain"] = cast(Any, chain)
    lineage = Lineage(workspace)
    chain.known.anchors.update(
        {version: replace(anchor, anchored_at=6) for version, anchor in world.chain.known.anchors.items()}
    )
    assert all(one.certificate is not None for one in lineage.read())
    chain.known.anchors.clear()
    assert [one.certificate for one in lineage.read()] == [None, None]


def test_anybody_gets_an_anchored_certificate_byte_for_byte(world: World) -> None:
    answer = asked(world, f"/page/certificates/{world.cid}")
    assert answer.content == world.distilled.signed.to_bytes()
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_what_is_not_anchored_needs_a_known_caller(world: World) -> None:
    other = world.distilled.publication.release.manifest_cid
    assert asked(world, f"/page/certificates/{other}").status_code == 401
    assert asked(world, f"/page/certificates/{other}", BLIND).status_code == 403
    assert asked(world, f"/page/certificates/{other}", ALICE).status_code == 200
    gone = asked(world, f"/page/certificates/{CID_OF_NOBODY}", ALICE)
    assert (gone.status_code, "--car" in gone.text) == (404, True)
    assert str(world.workspace.home.root) not in gone.text
    assert asked(world, "/page/certificates/nonsense", ALICE).status_code == 400


def test_an_example_comes_with_a_proof_that_holds(world: World) -> None:
    dataset = world.distilled.certificate.dataset
    for index in range(dataset.examples):
        answer = asked(world, f"/page/certificates/{world.cid}/examples/{index}", ALICE)
        RecordProof.from_bytes(answer.content).verify(dataset.root, dataset.examples)
    for index in (dataset.examples, -1):
        assert asked(world, f"/page/certificates/{world.cid}/examples/{index}", ALICE).status_code == 400
    assert asked(world, f"/page/certificates/{world.cid}/examples/0").status_code == 401
    parent = world.distilled.certificate.parent.certificate
    assert asked(world, f"/page/certificates/{parent}/examples/0", ALICE).status_code == 400, "of another kind"


def test_the_archive_is_all_that_an_audit_reads(world: World, tmp_path: Path) -> None:
    answer = asked(world, f"/page/certificates/{world.cid}/archive", ALICE)
    assert answer.status_code == 200
    (tmp_path / "a.car").write_bytes(answer.content)
    blocks = CarFile(tmp_path / "a.car")
    assert str(blocks.roots[0]) == world.cid
    assert audit(world.cid, blocks, world.distilled.chain).passed
    assert asked(world, f"/page/certificates/{world.cid}/archive").status_code == 401


def test_an_archive_that_is_too_large_is_refused_with_the_command(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published_certificates, "MAX_ARCHIVE_BYTES", 1_000)
    refused = asked(world, f"/page/certificates/{world.cid}/archive", ALICE)
    assert (refused.status_code, "--export-car" in refused.text) == (400, True)


@dataclass
class Slow:
    """Something that is read when the test says so. ``begun``: how often."""

    real: Any
    go_on: threading.Event = field(default_factory=threading.Event)
    begun: int = 0

    def __call__(self, *words: Any, **more: Any) -> Any:
        self.begun += 1
        assert self.go_on.wait(60)
        return self.real(*words, **more)


def together(world: World, slow: Slow, asked: Sequence[tuple[str, str | None]], before: int) -> list[tuple[int, bytes]]:
    """Statuses and bodies of questions. The first is under way when the others are asked, and goes on once ``before``
    of these were answered and the others wait.
    """
    real, waiting = SingleFlight.made, 0

    async def counted(self: SingleFlight, *words: Any) -> Any:
        nonlocal waiting
        waiting += 1
        return await real(self, *words)

    async def work() -> list[tuple[int, bytes]]:
        shown = PublishedCertificates(world.workspace)
        async with page_client(certificates=shown) as client:

            def ask(path: str, key: str | None) -> asyncio.Task[httpx.Response]:
                return asyncio.create_task(client.get(path, headers=keyed(key) if key else {}))

            tasks = [ask(*asked[0])]
            while not slow.begun:
                await asyncio.sleep(0.001)
            tasks += [ask(*one) for one in asked[1:]]
            while sum(task.done() for task in tasks) < before or waiting < len(asked) - before:
                await asyncio.sleep(0.001)
            slow.go_on.set()
            answers = await asyncio.gather(*tasks)
        await shown.close()
        return [(answer.status_code, answer.content) for answer in answers]

    with patch.object(SingleFlight, "made", counted):
        return asyncio.run(work())


def test_many_who_ask_for_the_versions_have_them_read_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(Lineage.read)
    monkeypatch.setattr(Lineage, "read", lambda self: slow(self))
    found = together(world, slow, [("/page/versions", None)] * 20, 0)
    assert [status for status, _ in found] == [200] * 20
    assert (slow.begun, len({body for _, body in found})) == (1, 1)


def test_many_who_want_an_archive_have_it_made_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(certificates.archive_of_certificate)
    monkeypatch.setattr(certificates, "archive_of_certificate", slow)
    path = f"/page/certificates/{world.cid}/archive"
    found = together(world, slow, [(path, ALICE), (path, BOB), (path, ALICE)], 0)
    assert [status for status, _ in found] == [200] * 3
    assert (slow.begun, len({body for _, body in found})) == (1, 1)
    left = list((world.workspace.home.root / "gateway" / "archives").iterdir())
    assert left == [], "a gateway that has ended leaves none"


def test_an_account_has_one_archive_made_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(certificates.archive_of_certificate)
    monkeypatch.setattr(certificates, "archive_of_certificate", slow)
    first, second = f"/page/certificates/{world.cid}/archive", f"/page/certificates/{CID_OF_NOBODY}/archive"
    found = together(world, slow, [(first, ALICE), (second, ALICE), (second, BOB)], 1)
    assert [status for status, _ in found] == [200, 503, 404]
    assert b"your account" in found[1][1]


def test_strangers_who_ask_for_what_nobody_has_keep_no_list_of_versions_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents that IPFS looks for take two threads; the chain is read on another."""
    slow = Slow(certificates.certificate_bytes)
    monkeypatch.setattr(certificates, "certificate_bytes", slow)
    asked = [(f"/page/certificates/{world.cid}", None), (f"/page/certificates/{CID_OF_NOBODY}", ALICE)]
    found = together(world, slow, [*asked, ("/page/versions", None)], 1)
    assert [status for status, _ in found] == [200, 404, 200]


def test_a_document_that_nobody_has_is_not_looked_for_again_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    real = certificates.certificate_blocks
    monkeypatch.setattr(certificates, "certificate_blocks", lambda *words: looked.append(1) or real(*words))

    async def work() -> None:
        shown = PublishedCertificates(world.workspace)
        with pytest.raises(NotFoundError) as first:
            await shown.document(CID_OF_NOBODY)
        with pytest.raises(NotFoundError) as again:
            await shown.document(CID_OF_NOBODY)
        assert (len(looked), str(first.value)) == (1, str(again.value))
        monkeypatch.setattr(published_certificates, "MISSING_SECONDS", 0.0)
        with pytest.raises(NotFoundError):
            await shown.document(CID_OF_NOBODY)
        assert len(looked) == 2
        await shown.close()

    asyncio.run(work())


def test_blocks_that_come_too_slowly_do_not_hold_the_threads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCUMENT_SECONDS", "ARCHIVE_SECONDS", "EXAMPLE_SECONDS"):
        monkeypatch.setattr(published_certificates, name, 0.0)
    for path in ("", "/archive", "/examples/0"):
        late = asked(world, f"/page/certificates/{world.cid}{path}", ALICE)
        assert late.status_code == 404, path


def test_a_large_document_is_a_transfer_and_a_small_one_is_not(world: World) -> None:
    async def sent(size: int, transfers: SharedPlaces) -> tuple[int, bytes]:
        app = SentBytes(bytes(size), transfers, {}, "application/json")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            answer = await client.get("/")
        return answer.status_code, answer.content

    async def work() -> None:
        free, full = new_transfers(1), new_transfers(0)
        for size in (0, SMALL_BYTES):
            assert await sent(size, full) == (200, bytes(size))
        for size in (SMALL_BYTES + 1, 2 * SMALL_BYTES, 3 * SMALL_BYTES - 1):
            assert (await sent(size, full))[0] == 503
            assert await sent(size, free) == (200, bytes(size))
        assert free.taken == 0

    asyncio.run(work())
