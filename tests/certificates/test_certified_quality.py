"""What a market may say of a version's quality is what its anchored certificate says, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nexus_chain.certificates.errors import ForeignCertificateError
from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.wallet import Wallet
from nexus_chain.content.block_store import BlockStore
from nexus_chain.content.errors import BlockMissingError
from nexus_chain.workflows.certified_quality import read_quality
from tests.support.tiny_distillation import Distilled
from tests.support.tiny_publication import PUBLISHER, Published


def anchor_of(published: Published) -> AnchoredCertificate:
    return published.chain.anchors[published.version_id]


def test_figures_are_those_of_the_certificate(published: Published) -> None:
    found = read_quality(published.store, anchor_of(published), published.version_id, PUBLISHER.address)
    metrics = published.signed.certificate.metrics
    assert found.name == published.signed.certificate.model.name
    assert found.figures["perplexity_integer"] == f"{metrics.perplexity_integer:.4f}"
    assert (found.figures["top1_hits"], found.figures["tokens"]) == (metrics.hits_integer, metrics.tokens)


def test_what_is_not_the_publishers_word_on_this_version_is_refused(published: Published, tmp_path: Path) -> None:
    blocks, anchored, version = published.store, anchor_of(published), published.version_id
    with pytest.raises(ForeignCertificateError, match="another document"):
        read_quality(blocks, replace(anchored, content_hash=bytes(32)), version, PUBLISHER.address)
    with pytest.raises(ForeignCertificateError, match="publisher"):
        read_quality(blocks, anchored, version, Wallet.ephemeral().address)
    with pytest.raises(ForeignCertificateError, match="another version"):
        read_quality(blocks, anchored, bytes(32), PUBLISHER.address)
    with pytest.raises(BlockMissingError):
        read_quality(BlockStore(tmp_path / "empty"), anchored, version, PUBLISHER.address)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"certificate": {"format": "other"}}', b"\xff"])
def test_other_documents_are_refused(published: Published, tmp_path: Path, data: bytes) -> None:
    from hashlib import sha256

    blocks = BlockStore(tmp_path / "blocks")
    anchored = AnchoredCertificate(str(blocks.add_bytes(data)), sha256(data).digest(), 1)
    with pytest.raises(ForeignCertificateError, match="format"):
        read_quality(blocks, anchored, published.version_id, PUBLISHER.address)


def test_of_a_distillation_the_held_out_accuracy_before_and_after(distilled: Distilled) -> None:
    anchored = distilled.chain.anchors[distilled.version_id]
    found = read_quality(distilled.store, anchored, distilled.version_id, PUBLISHER.address)
    evaluation = distilled.certificate.evaluation
    assert (found.figures["accuracy_before"], found.figures["accuracy"]) == (
        evaluation.before.accuracy, evaluation.after.accuracy,
    )  # fmt: skip
    assert (found.figures["problems"], found.figures["metric"]) == (evaluation.total, evaluation.metric)
