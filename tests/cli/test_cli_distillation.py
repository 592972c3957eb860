"""A model that learned, published and audited on a real chain by command line: from the home, then from an archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.certificates.measurement import measure_folder
from nexus_chain.certificates.ml_bom import require_bill
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.local import DEVELOPMENT_KEYS, anvil
from nexus_chain.chain.wallet import Wallet
from nexus_chain.content.block_store import BlockStore
from nexus_chain.program import Recipe
from nexus_chain.program.recipe import RECIPE_FILE
from tests.support.invocation import Nexus, Printed
from tests.support.kubo_rpc_server import start
from tests.support.tiny_distillation import distil
from tests.support.tiny_publication import HELD_OUT, TRAINING, FloatModel, publish, train


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with parent, child and what the distillation kept, a wallet and a deployment; the chain's address."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "tiny").mkdir()
    train(folder / "tiny")
    measure_folder(folder / "tiny", TRAINING, HELD_OUT, FloatModel(folder / "tiny"), sample_tokens=150)
    scratch = BlockStore(folder / "scratch")
    distilled = distil(publish(folder / "tiny", scratch), folder, scratch, toy=False)
    (distilled.child / RECIPE_FILE).write_text(Recipe().to_json())
    (folder / "password").write_text("open sesame")
    with anvil() as chain:
        operator = Wallet.from_hex(DEVELOPMENT_KEYS[2])
        operator.save(folder / "wallet.json", "open sesame", work=2**10)
        creator = ArtefactCreator(chain.connection, operator)
        deploy(creator, operator.address, preset="local", path=folder / "deployments" / f"{chain.chain_id}.json")
        yield folder, chain.rpc_url


@pytest.fixture
def operator(nexus: Nexus, place: tuple[Path, str]) -> Nexus:
    folder, rpc = place

    def call(*arguments: object) -> Printed:
        return nexus("--home", folder, "--rpc", rpc, "--password-file", folder / "password", *arguments)

    return call


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    """The address of a daemon that others can ask for blocks."""
    server, address = start(tmp_path / "port")
    yield address
    server.terminate()
    server.wait()


def test_publish_audit_and_carry_away(
    operator: Nexus, nexus: Nexus, place: tuple[Path, str], daemon: str, tmp_path: Path
) -> None:
    folder, rpc = place
    parent = operator("model", "publish", folder / "tiny", "--ipfs", daemon, "--json")
    assert parent.code == 0, parent.err
    child = ("model", "publish", folder / "child", "--version", "1.1.0", "--beyond-gate", "--distillation")
    orphan = operator(*child, folder / "distillation", "--json")
    assert orphan.json["error"]["type"] == "DistillationRecordError"
    named = ("--parent", parent.json["model_version"], "--ipfs", daemon)
    published = operator(*child, folder / "distillation", *named, "--json")
    assert (published.code, published.json["pinned"]) == (0, True), published.err
    cid, archive = published.json["certificate_cid"], tmp_path / "version.car"

    audited = operator("audit", cid, "--sample", 0, "--seed", "mine", "--export-car", archive, "--json")
    assert audited.code == 0, audited.json
    assert (audited.json["passed"], audited.json["seed"], len(audited.json["steps"])) == (True, "mine", 20)
    assert audited.json["steps"][19] == {
        "number": 20,
        "title": "re-training",
        "passed": True,
        "checked": False,
        "detail": "not asked for",
    }

    deployments = ("--deployment", next((folder / "deployments").iterdir()))
    stranger = ("--home", tmp_path / "stranger", "--rpc", rpc, *deployments)
    assert "no source has" in nexus(*stranger, "audit", cid).out
    assert nexus(*stranger, "audit", cid, "--ipfs", daemon, "--sample", 1, "--json").json["passed"], "all is pinned"
    demands = ("--require-tier", "unranked", "--require-accuracy", 0.5, "--max-age-days", 1, "--require-judged", 0.8)
    told = nexus(*stranger, "audit", cid, "--car", archive, "--sample", 2, "--retrain", *demands)
    assert told.code == 0, told.out
    assert "20 of 21 skipped  re-training: not re-trainable here: it was trained on" in told.out
    assert "21 of 21 passed  auditor's policy: tier unranked" in told.out
    assert "--seed " in told.err
    strict = nexus(*stranger, "audit", cid, "--car", archive, "--sample", 1, "--require-tier", "gold")
    assert strict.code == 1
    assert "21 of 21 FAILED  auditor's policy: the tier is unranked, below gold" in strict.out

    bill = nexus(*stranger, "model", "bom", cid, "--ipfs", daemon, "--parent-name", "tiny", "--model-licence", "MIT",
                 "--data-licence", "CC0-1.0", "--out", tmp_path / "bom.json")  # fmt: skip
    assert bill.code == 0, bill.err
    require_bill((tmp_path / "bom.json").read_text())


def test_a_folder_is_signed_and_checked(nexus: Nexus, tmp_path: Path) -> None:
    folder, key = tmp_path / "model", tmp_path / "key.pem"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    signed = nexus("model", "sign", folder, "--key", key, "--new-key")
    assert (signed.code, signed.out.strip()) == (0, str(folder / "model.sig")), signed.err
    assert "PRIVATE" not in signed.out + signed.err
    public = f"{key}.pub"
    assert nexus("model", "check-signature", folder, "--key", public).code == 0
    assert nexus("model", "sign", folder, "--key", key, "--new-key").code == 1, "a key is never written over"
    (folder / "model.safetensors").write_bytes(b"others")
    refused = nexus("model", "check-signature", folder, "--key", public)
    assert (refused.code, "Do not use the model" in refused.err) == (1, True)
