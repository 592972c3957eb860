"""What is left of an answer that failed: its evidence is in a file, and its error is the one that is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_chain.chain.errors import RpcUnreachableError
from nexus_chain.client.errors import NoSpareError, SessionStateError
from nexus_chain.evidence.proof import InferenceProof
from tests.client.test_pipeline import Network
from tests.support.toy_network import DOMAIN
from tests.support.toy_session import toy_session

PROMPT = (4, 4)


def test_an_answer_that_fails_leaves_its_evidence_in_a_file(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=0)
    network.nodes[0].forges = "out_root"
    stream = toy_session(network, tmp_path).start(PROMPT)
    with pytest.raises(NoSpareError):
        list(stream)
    (file,) = (tmp_path / "answers").iterdir()
    proof = InferenceProof.load(file)
    assert [receipt.node for receipt, _ in proof.disputed] == [network.nodes[0].address]
    assert network.store.order(proof.order.digest(DOMAIN)).state == "failed"
    with pytest.raises(SessionStateError, match="the answer failed"):
        stream.result()


def test_an_answer_that_fails_before_anybody_signed_leaves_no_file(tmp_path: Path) -> None:
    network = Network(tmp_path, spares=0)
    network.nodes[0].signs = False
    with pytest.raises(NoSpareError):
        toy_session(network, tmp_path).start(PROMPT).result()
    assert not (tmp_path / "answers").exists()


def test_evidence_that_cannot_be_written_does_not_hide_what_went_wrong(tmp_path: Path) -> None:
    def no_chain(node: str) -> str:
        raise RpcUnreachableError("the chain does not answer", advice="Try again.")

    network = Network(tmp_path, spares=0)
    network.nodes[0].forges = "out_root"
    with pytest.raises(NoSpareError):
        toy_session(network, tmp_path, receipt_key_of=no_chain).start(PROMPT).result()
    assert not (tmp_path / "answers").exists()
