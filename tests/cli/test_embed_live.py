"""``nexus embed``: an encoder served by node processes, paid, verified, and refused where it cannot work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nexus_chain.chain.wallet import Wallet
from nexus_chain.client.order import AskOptions
from nexus_chain.engine.embedding import embeddings
from nexus_chain.engine.engine import Engine
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import verify_proof
from nexus_chain.planning.errors import ShardCountError
from nexus_chain.planning.shards import shard_model
from nexus_chain.program import ModelShape
from tests.support.invocation import Nexus, Printed
from tests.support.live_network import PRICE, LiveNetwork, live_network

SHAPE = ModelShape(
    layers=3, width=48, heads=4, kv_heads=4, head_dim=12, ffn=80, vocab=300, context=96, rms_eps=1e-12, encoder=True
)
SPLIT = ((0, 2), (2, 3))
TEXTS = ("def fib(n):", "return n")
PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live"), SHAPE, SPLIT, copies=1) as made:
        yield made


@pytest.fixture
def user(nexus: Nexus, live: LiveNetwork) -> Nexus:
    """``nexus`` with a funded wallet in a home of its own."""
    home = live.folder / "cli-home"
    if not home.exists():
        home.mkdir()
        (home / "password").write_text(PASSWORD)
        wallet = Wallet.create(home / "wallet.json", PASSWORD, work=2**10)
        live.net.chain.set_balance(wallet.address, 10**19)

    def call(*arguments: object) -> Printed:
        return nexus(
            "--home", home, "--password-file", home / "password", "--rpc", live.net.chain.rpc_url,
            "--deployment", live.net.deployment_path, "--model-dir", live.folder / "model", *arguments,
        )  # fmt: skip

    return call


def expected(live: LiveNetwork) -> list[list[int]]:
    """The program's own embeddings, without any node."""
    engine = Engine(live.model.program, live.model.weights, 0, SHAPE.layers - 1)
    texts = [torch.tensor(live.files.codec.encode(text, special=True), dtype=torch.int32) for text in TEXTS]
    return [row.tolist() for row in embeddings(engine, texts)]


def test_embeddings_are_served_paid_and_verified(user: Nexus, live: LiveNetwork) -> None:
    assert user("session", "open", "--tokens", 300, "--json").code == 0
    printed = user("embed", *TEXTS, "--json")
    assert printed.code == 0, printed.err
    answers = printed.json["answers"]
    assert [answer["embedding"] for answer in answers] == expected(live)
    for answer, text in zip(answers, TEXTS, strict=True):
        positions = len(live.files.codec.encode(text, special=True))
        assert int(answer["cost_wei"]) == len(SPLIT) * PRICE * positions
        assert user("verify", answer["answer_file"], "--json").json["verified"]

    plain = user("embed", *TEXTS)
    assert [json.loads(line) for line in plain.out.splitlines()] == [
        [component / 65536 for component in row] for row in expected(live)
    ]


def test_a_wrong_embedding_fails_verification(user: Nexus, live: LiveNetwork) -> None:
    answer = user("embed", TEXTS[0], "--json", "--direct").json["answers"][0]
    proof = InferenceProof.load(Path(answer["answer_file"]))
    other = {name: tensor.clone() for name, tensor in live.model.weights.items()}
    other["layers.0.attention.output.weight"][0, 0] ^= 1
    report = verify_proof(proof, type(live.model)(live.model.program, other))
    assert (report.wrong[0].segment, report.wrong[0].to_blame) == (0, True)


def test_commands_of_the_other_kind_are_refused(user: Nexus) -> None:
    refused = user("ask", "hello", "--direct")
    assert refused.code == 1
    assert "nexus embed" in refused.err


def test_a_text_longer_than_the_context_is_refused(user: Nexus) -> None:
    refused = user("embed", "x " * 200, "--direct")
    assert refused.code == 1
    assert "context of 96" in refused.err


def test_an_order_for_more_than_one_token_is_one_for_one(live: LiveNetwork) -> None:
    assert AskOptions(max_tokens=9).for_model(live.files.program).max_tokens == 1


def test_an_encoder_is_cut_where_its_embedding_crosses(live: LiveNetwork) -> None:
    shards = shard_model(live.model.program, 2)
    assert [(shard.layer_start, shard.layer_end) for shard in shards] == list(SPLIT)
    with pytest.raises(ShardCountError):
        shard_model(live.model.program, 1)
