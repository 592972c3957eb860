"""``nexus model`` and ``nexus audit`` on a real chain: import, publish with a certificate, audit, tamper."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_chain.certificates.measurement import measure_folder
from nexus_chain.certificates.publication import Publication
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.deployer import ArtefactCreator, deploy
from nexus_chain.chain.local import DEVELOPMENT_KEYS, anvil
from nexus_chain.chain.wallet import Wallet
from nexus_chain.content.block_store import BlockStore
from nexus_chain.program import Recipe, import_checkpoint
from nexus_chain.program.smoothing import groups
from nexus_chain.versions.manifest import Manifest
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.publishing import registry_entry
from tests.support.invocation import Nexus, Printed
from tests.support.kubo_rpc_server import start
from tests.support.sharded_checkpoint import flip_a_weight, shard_name, sharded_twin
from tests.support.tiny_publication import HELD_OUT, TRAINING, FloatModel, train

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with a trained model, a publisher's wallet and a deployment; the chain's RPC address."""
    folder = tmp_path_factory.mktemp("publisher")
    (folder / "tiny").mkdir()
    train(folder / "tiny")
    measure_folder(folder / "tiny", TRAINING, HELD_OUT, FloatModel(folder / "tiny"), sample_tokens=150)
    (folder / "password").write_text("open sesame")
    with anvil() as chain:
        publisher = Wallet.from_hex(DEVELOPMENT_KEYS[2])
        publisher.save(folder / "wallet.json", "open sesame", work=2**10)
        creator = ArtefactCreator(chain.connection, publisher)
        deploy(creator, publisher.address, preset="local", path=folder / "deployments" / f"{chain.chain_id}.json")
        yield folder, chain.rpc_url


@pytest.fixture
def publisher(nexus: Nexus, place: tuple[Path, str]) -> Nexus:
    folder, rpc = place

    def call(*arguments: object) -> Printed:
        return nexus("--home", folder, "--rpc", rpc, "--password-file", folder / "password", *arguments)

    return call


def test_import_publish_audit(publisher: Nexus, place: tuple[Path, str]) -> None:
    folder, _ = place
    imported = publisher("model", "import", folder / "tiny", "--out", folder / "imported", "--json")
    assert imported.code == 0, imported.err
    assert imported.json["layers"] == 2

    published = publisher("model", "publish", folder / "tiny", "--version", "1.2.0", "--price", 7, "--json")
    assert published.code == 0, published.err
    assert published.json["overflow_bits"] < 64
    (model,) = publisher("models", "--json").json["models"]
    assert model["id"] == published.json["model_version"]
    assert (model["version"], model["wei_per_token"]) == ("1.2.0", "7")
    assert model["certificate_cid"] == published.json["certificate_cid"]
    for name in ("weights_root", "program_root"):
        assert model[name] == imported.json[name]
    kept = ModelFiles(folder / "models" / published.json["model_version"][2:18])
    assert kept.program.shape.layers == 2

    audited = publisher("audit", published.json["certificate_cid"], "--json")
    assert audited.code == 0
    assert audited.json["passed"]
    told = publisher("audit", published.json["certificate_cid"])
    assert f"{len(audited.json['steps'])} of {len(audited.json['steps'])} passed" in told.out

    # A crash between registering and anchoring: the second run only anchors.
    contracts = Contracts.connect(place[1], folder / "deployments" / "31337.json", Wallet.from_hex(DEVELOPMENT_KEYS[2]))
    publication = Publication.prepare(folder / "tiny", BlockStore(folder / "blocks"), "1.3.0")
    contracts.models.publish(registry_entry(publication, "1.3.0", 7, bytes(32)))
    resumed = publisher("model", "publish", folder / "tiny", "--version", "1.3.0", "--price", 7, "--json")
    assert (resumed.code, resumed.json["gas"]["publish"]) == (0, 0)
    assert publisher("audit", resumed.json["certificate_cid"], "--json").json["passed"]

    # A crash between anchoring and keeping the files: the second run pays nothing and keeps them.
    shutil.rmtree(kept.folder)
    twice = publisher("model", "publish", folder / "tiny", "--version", "1.2.0", "--price", 7, "--json")
    assert twice.code == 0, twice.err
    assert twice.json["gas"] == {"publish": 0, "anchor": 0}
    assert twice.json["certificate_cid"] == published.json["certificate_cid"]
    assert ModelFiles(kept.folder).program.shape.layers == 2

    # The same version with another certificate.
    publication = Publication.prepare(folder / "tiny", BlockStore(folder / "blocks"), "1.4.0")
    version_id, _ = contracts.models.publish(registry_entry(publication, "1.4.0", 7, bytes(32)))
    contracts.certificates.anchor(version_id, published.json["certificate_cid"], bytes(31) + b"\x01")
    other = publisher("model", "publish", folder / "tiny", "--version", "1.4.0", "--price", 7, "--json")
    assert other.code == 1
    assert "AlreadyPublished" in other.json["error"]["message"]


def test_publishing_cuts_shards_and_says_how_to_serve_them(publisher: Nexus, place: tuple[Path, str]) -> None:
    folder, rpc = place
    arguments = ("model", "publish", folder / "tiny", "--version", "1.5.0")
    known = publisher("models", "--json").json["models"]
    refused = publisher(*arguments, "--shards", 99, "--json")
    assert (refused.code, refused.json["error"]["type"]) == (1, "ShardCountError")
    assert publisher("models", "--json").json["models"] == known  # nothing was paid for

    published = publisher(*arguments, "--shards", 2, "--json")
    assert published.code == 0, published.err
    kept, version = Path(published.json["folder"]), published.json["model_version"]
    assert kept == folder / "models" / version[2:18]
    shards = published.json["shards"]
    assert [shard["layers"][0] for shard in shards] == [0, shards[0]["layers"][1]]
    for shard, port in zip(shards, (7070, 7071), strict=True):
        start, end = shard["layers"]
        file = kept / "shards" / f"layers-{start}-{end}.safetensors"
        assert (shard["file"], file.is_file()) == (str(file), True)
        assert shard["command"] == (
            f"nexus-node --data {folder}/nodes/layers-{start}-{end} --listen 127.0.0.1:{port} --block {file} "
            f"--home {folder} --rpc {rpc} --password-file {folder}/password --model-version {version} start"
        )
        checked = publisher("model", "verify", file, "--model-version", version, "--json")
        assert checked.json["verified"], checked.err


def test_pins_wait_for_the_daemon(publisher: Nexus, place: tuple[Path, str], tmp_path: Path) -> None:
    arguments = ("model", "publish", place[0] / "tiny", "--version", "2.0.0", "--json")
    refused = publisher(*arguments, "--ipfs", "nonsense")
    assert (refused.code, refused.json["error"]["type"]) == (1, "IpfsDaemonError")
    published = publisher(*arguments, "--ipfs", "/ip4/127.0.0.1/tcp/9")  # refused before it was registered
    assert (published.code, published.json["pinned"]) == (0, False)
    down = publisher("model", "pin", "--ipfs", "/ip4/127.0.0.1/tcp/9", "--json")
    assert (down.code, down.json["pinned"]) == (1, [])
    waiting = [entry["cid"] for entry in down.json["waiting"]]
    assert waiting[0] == published.json["certificate_cid"]
    assert "does not answer" in down.json["waiting"][0]["problem"]

    server, address = start(tmp_path / "port")
    try:
        up = publisher("model", "pin", "--ipfs", address, "--json")
        assert (up.code, up.json) == (0, {"pinned": waiting, "waiting": []})
        assert "0 pinned, 0 waiting" in publisher("model", "pin", "--ipfs", address).err
    finally:
        server.terminate()
        server.wait()


def test_a_sharded_checkpoint_is_published_and_audited_like_its_single_file(
    publisher: Nexus, place: tuple[Path, str], tmp_path: Path
) -> None:
    folder = sharded_twin(place[0] / "tiny", tmp_path / "sharded")
    roots = publisher("model", "import", place[0] / "tiny", "--out", tmp_path / "imported", "--json").json
    server, address = start(tmp_path / "port")
    try:
        arguments = ("model", "publish", folder, "--version", "4.0.0", "--json")
        published = publisher(*arguments, "--ipfs", address)
        assert (published.code, published.json["pinned"]) == (0, True), published.err
        cid = published.json["certificate_cid"]
        shutil.move(place[0] / "blocks", tmp_path / "blocks")  # the daemon alone has every shard
        audited = publisher("audit", cid, "--ipfs", address, "--json")
    finally:
        shutil.move(tmp_path / "blocks", place[0] / "blocks")
        server.terminate()
        server.wait()
    assert audited.json["passed"], audited.json
    (model,) = (m for m in publisher("models", "--json").json["models"] if m["certificate_cid"] == cid)
    assert (model["weights_root"], model["program_root"]) == (roots["weights_root"], roots["program_root"])


def _missing(folder: Path) -> None:
    (folder / shard_name(3, 3)).unlink()


def _extra(folder: Path) -> None:
    shutil.copyfile(folder / shard_name(1, 3), folder / "extra.safetensors")


def _tampered(folder: Path) -> None:
    flip_a_weight(folder / shard_name(2, 3))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_missing, f"names {shard_name(3, 3)}, which is not in the folder"),
        (_extra, "extra.safetensors is in the folder, but"),
        (_tampered, "a file of weights has changed since"),
    ],
)
def test_a_spoilt_sharded_checkpoint_is_refused_before_anything_is_registered(
    publisher: Nexus, place: tuple[Path, str], tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = sharded_twin(place[0] / "tiny", tmp_path / "sharded")
    before = publisher("models", "--json").json
    spoil(folder)
    refused = publisher("model", "publish", folder, "--version", "4.1.0", "--json")
    assert (refused.code, refused.json["error"]["type"]) == (1, "TrainedFolderError")
    assert message in refused.json["error"]["message"]
    assert publisher("models", "--json").json == before


def test_unmeasured_folder_is_not_published(publisher: Nexus, place: tuple[Path, str], tmp_path: Path) -> None:
    train(tmp_path)
    printed = publisher("model", "publish", tmp_path, "--json")
    assert printed.code == 1
    assert printed.json["error"]["type"] == "TrainedFolderError"
    assert "--uncertified" in printed.json["error"]["advice"]


def test_a_checkpoint_of_others_is_published_without_a_certificate(
    publisher: Nexus, place: tuple[Path, str], tmp_path: Path
) -> None:
    folder = sharded_twin(place[0] / "tiny", tmp_path / "sharded")
    for record in ("training.json", "data.json", "held_out.json.gz", "metrics.json"):
        (folder / record).unlink()
    arguments = ("model", "publish", folder, "--version", "5.0.0", "--uncertified")
    published = publisher(*arguments, "--json")
    assert (published.code, published.json["certificate_cid"], published.json["gas"]["anchor"]) == (0, None, 0)
    (model,) = (m for m in publisher("models", "--json").json["models"] if m["version"] == "5.0.0")
    assert (model["id"], model["certificate_cid"]) == (published.json["model_version"], None)

    manifest = Manifest.fetch(BlockStore(place[0] / "blocks"), published.json["manifest_cid"])
    manifest.fetch_files(BlockStore(place[0] / "blocks"), tmp_path / "fetched")
    again = publisher("model", "import", tmp_path / "fetched", "--out", tmp_path / "again", "--unmeasured", "--json")
    for name in ("weights_root", "program_root"):
        assert again.json[name] == model[name], "what the manifest lists makes the registered version"
    kept = place[0] / "models" / published.json["model_version"][2:18]
    assert (kept / "recipe.json").read_bytes() == (tmp_path / "fetched" / "recipe.json").read_bytes()

    odd = publisher("model", "publish", tmp_path / "absent", "--version", "5.0", "--uncertified", "--json")
    assert "must be a version like 1.2.3" in odd.json["error"]["message"], "said before the folder is read"

    told = publisher(*arguments)
    assert (told.code, told.out.strip()) == (0, model["id"]), "publishing it again changes nothing"
    assert "cannot be audited" in told.err


def test_a_checkpoint_of_others_is_measured_against_the_gate(
    publisher: Nexus, place: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(ROOT / "nexus_chain/models/python-stdlib", folder, ignore=shutil.ignore_patterns("metrics.json"))
    spoilt = {"2.value": (20, -20) * (groups(import_checkpoint(folder).program.shape)["2.value"] // 2)}
    (folder / "recipe.json").write_text(Recipe(smoothing=spoilt).to_json())
    arguments = ("model", "publish", folder, "--version", "5.1.0", "--uncertified", "--json")
    before = publisher("models", "--json").json
    refused = publisher(*arguments)
    assert (refused.code, refused.json["error"]["type"]) == (1, "QualityGateError")
    assert publisher("models", "--json").json == before
    assert publisher(*arguments, "--beyond-gate").code == 0


def test_a_model_measured_past_the_gate_is_published_only_when_wanted(
    publisher: Nexus, place: tuple[Path, str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(place[0] / "tiny", tmp_path / "tiny"))
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "relative_increase": 0.02}))
    arguments = ("model", "publish", folder, "--version", "3.0.0", "--json")
    refused = publisher(*arguments)
    assert (refused.code, refused.json["error"]["type"]) == (1, "QualityGateError")
    assert "+2.00% against float32, past the gate of +0.50%" in refused.json["error"]["message"]
    (folder / "metrics.json").write_text(json.dumps({**metrics, "relative_increase": "much"}))
    assert publisher(*arguments).json["error"]["type"] == "TrainedFolderError"
    (folder / "metrics.json").write_text(json.dumps({**metrics, "relative_increase": 0.02}))
    assert publisher(*arguments, "--gate", 1.9).code == 1
    assert publisher(*arguments, "--beyond-gate").code == 0


def test_checkpoint_is_imported_when_first_needed(publisher: Nexus, place: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = place
    for checkpoint in (folder / "tiny", sharded_twin(folder / "tiny", tmp_path / "sharded")):
        shutil.rmtree(folder / "models")
        printed = publisher("--model-dir", checkpoint, "ask", "def f(", "--direct", "--max-tokens", 2, "--json")
        assert printed.code == 1
        assert printed.json["error"]["type"] == "NoNodeForLayersError"
        (kept,) = (folder / "models").iterdir()
        assert (kept / "program.json").is_file()
