"""Publishing and auditing against the real registries on a local chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nexus_chain.certificates.audit import audit
from nexus_chain.certificates.publication import Publication
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.local import DEVELOPMENT_KEYS, anvil
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.chain.wallet import Wallet
from nexus_chain.content.block_store import BlockStore, copy_file
from nexus_chain.content.cid import Cid

ROOT = Path(__file__).parents[2]


def test_published_model_is_audited_by_a_stranger(trained: Path, tmp_path: Path) -> None:
    with anvil() as chain:
        publisher = Wallet.from_hex(DEVELOPMENT_KEYS[1])
        creator = ArtefactCreator(chain.connection, publisher)
        deployment, _ = deploy(creator, publisher.address, preset="local", path=tmp_path / "deployment.json")
        contracts = Contracts.at(chain.connection, deployment, publisher)

        store = BlockStore(tmp_path / "publisher")
        publication = Publication.prepare(trained, store, "1.0.0")
        roots, layers = publication.commitment, publication.model.program.shape.layers
        version = ModelVersion(
            roots.weights_root, roots.program_root, publication.tokenizer_sha256, 1, layers, SemVer(1, 0, 0),
            publication.manifest_cid,
        )  # fmt: skip
        version_id, _ = contracts.models.publish(version)
        signed = publication.certificate(publisher.address, version_id).sign(publisher)
        cid = store.add_bytes(signed.to_bytes())

        stranger, blocks = Contracts.at(chain.connection, deployment), BlockStore(tmp_path / "stranger")
        for needed in (cid, *publication.cids):
            copy_file(store, needed, blocks)
        early = audit(str(cid), blocks, stranger).failed_step
        assert early is not None
        assert (early.number, "no certificate is anchored" in early.detail) == (4, True)

        contracts.certificates.anchor(version_id, str(cid), signed.content_hash)
        assert audit(str(cid), blocks, stranger).passed

        unpublished = replace(signed.certificate.model, model_version="0x" + "11" * 32)
        forged = replace(signed.certificate, model=unpublished).sign(publisher)
        report = audit(str(blocks.add_bytes(forged.to_bytes())), blocks, stranger)
        assert report.failed_step is not None
        assert report.failed_step.number == 4
    gone = audit(str(cid), blocks, stranger)
    assert gone.failed_step is not None, "a chain that is gone is a failed step, not a crash"
    assert gone.failed_step.number == 4
    assert Cid.parse(gone.cid) == cid
