"""What is left of an answer that failed: its evidence is in a file, and its error is the one that is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_chain.chain.errors import RpcUnreachableError
from nexus_chain.client import session as session_module
from nexus_chain.client.errors import NoSpareError
from nexus_chain.client.home import ClientHome
from nexus_chain.client.order import AskOptions
from nexus_chain.client.session import Asking, Session, Surroundings
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market.documents import address_of
from tests.client.test_pipeline import SESSION, SESSION_KEY, Network
from tests.support.toy_network import DOMAIN, VOCABULARY, WIDTH, ToyPeer

PROMPT = (4, 4)


class Watch:
    """Every line is in order."""

    def __init__(self, read: object) -> None:
        pass

    def before_chunk(self, node: object) -> None:
        return None

    def fit_spare(self, candidates: list[Any]) -> Any:
        return candidates[0] if candidates else None


def asking(network: Network, folder: Path, receipt_key_of: Any, monkeypatch: pytest.MonkeyPatch) -> Asking:
    """An order of 59 tokens over the network's nodes, without spares."""
    monkeypatch.setattr(session_module, "LineWatch", Watch)
    home = ClientHome(folder)
    home.session_keys.mkdir()
    order = replace(network.pipeline(PROMPT, 60).order, max_tokens=59)
    contracts = SimpleNamespace(domain=DOMAIN, nodes=SimpleNamespace(receipt_key_of=receipt_key_of))
    session = Session.__new__(Session)
    session.around = Surroundings(
        contracts,  # type: ignore[arg-type]
        home,
        network.store,
        lambda contact: ToyPeer(network.by_address[contact.address]),
    )
    session.record = SimpleNamespace(id=SESSION, signer=address_of(SESSION_KEY))  # type: ignore[assignment]
    program = SimpleNamespace(shape=SimpleNamespace(width=WIDTH, vocab=VOCABULARY), is_encoder=True)
    codec = SimpleNamespace(stream=lambda: SimpleNamespace(finish=lambda: ""))
    session.files = SimpleNamespace(program=program, codec=codec, draft_table=None)  # type: ignore[assignment]
    session._key, session._weights, session.purse = SESSION_KEY, None, network.purse
    route = SimpleNamespace(segments=[[node.contact] for node in network.nodes], addresses=list(network.by_address))
    request = SimpleNamespace(
        prompt=PROMPT, route=route, offer=SimpleNamespace(total_wei=10**6), options=AskOptions(drafting=False)
    )
    return Asking(session, order, request, lambda event: None)  # type: ignore[arg-type]


def test_an_answer_that_fails_leaves_its_evidence_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(tmp_path)
    network.nodes[0].forges = "out_root"
    failing = asking(network, tmp_path, lambda node: node, monkeypatch)
    with pytest.raises(NoSpareError):
        list(failing)
    (file,) = (tmp_path / "answers").iterdir()
    proof = InferenceProof.load(file)
    assert [receipt.node for receipt, _ in proof.disputed] == [network.nodes[0].address]
    assert network.store.order(proof.order.digest(DOMAIN)).state == "failed"


def test_an_answer_that_fails_before_anybody_signed_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(tmp_path)
    network.nodes[0].signs = False
    with pytest.raises(NoSpareError):
        list(asking(network, tmp_path, lambda node: node, monkeypatch))
    assert not (tmp_path / "answers").exists()


def test_evidence_that_cannot_be_written_does_not_hide_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_chain(node: str) -> str:
        raise RpcUnreachableError("the chain does not answer", advice="Try again.")

    network = Network(tmp_path)
    network.nodes[0].forges = "out_root"
    with pytest.raises(NoSpareError):
        list(asking(network, tmp_path, no_chain, monkeypatch))
    assert not (tmp_path / "answers").exists()
