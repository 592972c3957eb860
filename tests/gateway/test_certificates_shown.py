"""Versions, certificates, examples and archives, as callers get them from a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

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
from nexus_chain.workflows.lineage import Lineage
from nexus_chain.workflows.workspace import Workspace
from node.gateway.auditing import published_certificates
from node.gateway.auditing.published_certificates import PublishedCertificates
from tests.support.page_app import ALICE, BLIND, keyed, page_client
from tests.support.tiny_distillation import Distilled, distil
from tests.support.tiny_publication import HELD_OUT, TRAINING, FloatModel, Registries, publish, train

ADDRESS = "0x" + "11" * 20


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
        certificates = PublishedCertificates(world.workspace)
        async with page_client(certificates=certificates) as client:
            answer = await client.get(path, headers=keyed(key) if key else {})
        await certificates.close()
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
    gone = asked(world, "/page/certificates/bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", ALICE)
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
