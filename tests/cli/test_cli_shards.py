"""``nexus model inspect``, ``verify`` and ``plan`` on a random model's folder and shards; no chain is asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from nexus_chain.commitments.block_index import index_path, leaves_path
from nexus_chain.commitments.tensor_block import load_tensor_block, write_tensor_block
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.streaming import StreamedEngine
from nexus_chain.program import PRESETS, random_model
from nexus_chain.program.sampling import Sampling
from nexus_chain.workflows.workspace import Workspace
from tests.support.invocation import Nexus

MODEL = random_model(PRESETS["tiny"], seed=5)
ROOTS = ModelCommitment.of(MODEL)
WEIGHTS_ROOT, PROGRAM_ROOT = "0x" + ROOTS.weights_root.hex(), "0x" + ROOTS.program_root.hex()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("model") / "random"
    MODEL.save(place)
    write_tensor_block(MODEL, place / "shards" / "layers-1-3.safetensors", 1, 3, ROOTS)
    return place


@pytest.fixture
def shard(folder: Path, tmp_path: Path) -> Path:
    source, copy = folder / "shards" / "layers-1-3.safetensors", tmp_path / "layers-1-3.safetensors"
    for place in (lambda path: path, index_path, leaves_path):
        shutil.copy(place(source), place(copy))
    return copy


def test_inspect_says_what_serving_takes(nexus: Nexus, folder: Path, shard: Path) -> None:
    model = nexus("model", "inspect", folder, "--json").json
    part = nexus("model", "inspect", shard, "--json", "--weights", "--context", 40, "--sessions", 3).json
    assert (model["kind"], model["layers"], part["kind"], part["layers"]) == ("model", [0, 3], "shard", [1, 3])
    for found in (model, part):
        assert (found["weights_root"], found["program_root"]) == (WEIGHTS_ROOT, PROGRAM_ROOT)
    assert (model["weights_verified"], part["weights_verified"]) == (True, False)
    assert model["bytes"] == sum(tensor.nbytes for tensor in MODEL.weights.values())
    assert {weight["name"]: weight["bytes"] for weight in part["weights"]} == {
        spec.name: spec.nbytes for spec in MODEL.program.weights_of(1, 3)
    }
    engine = Engine(MODEL.program, MODEL.weights, 1, 3, threads=1, backend="torch")
    assert part["cache_bytes"] == 3 * engine.open(1, Sampling(), 40).nbytes
    assert part["memory_bytes"] == part["bytes"] + part["cache_bytes"] + part["activation_bytes"]
    assert part["ops"]["attention"] == 2
    assert sum(part["ops"].values()) == len(engine.ops)


def test_least_memory_limit_is_one_that_works(nexus: Nexus, shard: Path) -> None:
    limit = nexus("model", "inspect", shard, "--json").json["least_memory_limit"]
    block = load_tensor_block(shard, ROOTS.weights_root)
    assert limit < block.nbytes
    StreamedEngine(MODEL.program, block.weights, block, limit, 1, 3)


def test_inspect_for_people(nexus: Nexus, shard: Path) -> None:
    printed = nexus("model", "inspect", shard, "--weights")
    assert printed.code == 0
    for words in ("1-3 of 3", "layers.1.mlp.up.weight", "nexus model verify", WEIGHTS_ROOT, "a token"):
        assert words in printed.out


def test_verify_checks_every_byte(nexus: Nexus, folder: Path, shard: Path) -> None:
    for place in (shard, folder):
        found = nexus("model", "verify", place, "--weights-root", WEIGHTS_ROOT, "--json")
        assert found.code == 0
        assert (found.json["verified"], found.json["program_root"]) == (True, PROGRAM_ROOT)
    assert "all" in nexus("model", "verify", shard, "--weights-root", WEIGHTS_ROOT, "--program-root", PROGRAM_ROOT).out
    raw = bytearray(shard.read_bytes())
    raw[-5] ^= 1
    shard.write_bytes(raw)
    tampered = nexus("model", "verify", shard, "--weights-root", WEIGHTS_ROOT, "--json")
    assert (tampered.code, tampered.json["error"]["type"]) == (1, "TamperedTensorError")
    shard.write_bytes(raw[:-40])
    assert "truncated" in nexus("model", "verify", shard, "--weights-root", WEIGHTS_ROOT).err


def test_verify_takes_the_roots_of_a_version(
    nexus: Nexus, shard: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = SimpleNamespace(weights_root=ROOTS.weights_root, program_root=ROOTS.program_root)
    models = SimpleNamespace(versions=lambda: [bytes([7] * 32)], version=lambda _: version)
    monkeypatch.setattr(Workspace, "chain", SimpleNamespace(models=models))
    assert nexus("model", "verify", shard, "--model-version", "0x0707", "--json").json["verified"]
    version.program_root = bytes(32)
    for place in (shard, folder):
        assert nexus("model", "verify", place, "--model-version", "0x0707").code == 1
    assert "0 registered" in nexus("model", "verify", shard, "--model-version", "0x08").err


def test_verify_refuses_other_models_and_wrong_usage(nexus: Nexus, folder: Path, shard: Path) -> None:
    for place in (shard, folder):
        other = nexus("model", "verify", place, "--weights-root", "0x" + "00" * 32, "--json")
        assert (other.code, other.json["error"]["type"]) == (1, "TensorBlockError")
    assert nexus("model", "verify", shard).code == 2
    assert nexus("model", "verify", shard, "--weights-root", WEIGHTS_ROOT, "--model-version", "0x1").code == 2
    assert nexus("model", "verify", shard, "--weights-root", "0x12").code == 2
    missing = nexus("model", "inspect", shard.with_name("absent"), "--json")
    assert (missing.code, missing.json["error"]["type"]) == (1, "TensorBlockError")
    index_path(shard).write_text("{}")
    assert nexus("model", "inspect", shard).code == 1


def nodes_file(path: Path, *nodes: dict[str, object]) -> Path:
    path.write_text(json.dumps(nodes))
    return path


def test_plan_splits_over_the_nodes(nexus: Nexus, folder: Path, shard: Path, tmp_path: Path) -> None:
    fast = {"node": "fast", "memory": "1GiB", "tokens_per_second": 40, "hop_ms": 2}
    slow = {"node": "slow", "memory": "200MB", "tokens_per_second": 20, "measured_layers": [0, 2], "disk": "1GB"}
    nodes = nodes_file(tmp_path / "nodes.json", fast, slow)
    for place in (folder, shard):
        plan = nexus("model", "plan", place, "--nodes", nodes, "--sessions", 2, "--json").json
        assert plan["stages"][0]["layers"][0] == 0
        assert plan["stages"][-1]["layers"][1] == 3
        assert plan["tokens_per_second"] == pytest.approx(1 / max(s["seconds_per_token"] for s in plan["stages"]))
    shown = nexus("model", "plan", folder, "--nodes", nodes, "--resident", tmp_path / "hot")
    assert "fast" in shown.out
    assert "tokens/s with the pipeline full" in shown.err
    assert (tmp_path / "hot").read_text() == "", "a dense model has no experts"


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([], "needs nodes"),
        ([{"node": "a", "memory": "1MiB"}], "no field 'tokens_per_second'"),
        ([{"node": "a", "memory": "lots", "tokens_per_second": 1}], "no amount of memory"),
        ([{"node": "a", "memory": 1, "tokens_per_second": 1, "speed": 3}], "unknown field 'speed'"),
        ([{"node": "a", "memory": 1, "tokens_per_second": 1, "measured_layers": [0]}], "node 1"),
        ([{"node": "a", "memory": 1, "tokens_per_second": "nan"}], "throughput"),
        ([{"node": "a", "memory": 10000, "tokens_per_second": 1}], "no split fits: the closest lacks"),
        ({"a": 1}, "no list of nodes"),
        ([5], "node 1"),
    ],
)
def test_plan_says_what_is_wrong_with_the_nodes(
    nexus: Nexus, folder: Path, tmp_path: Path, nodes: object, words: str
) -> None:
    (tmp_path / "nodes.json").write_text(json.dumps(nodes))
    printed = nexus("model", "plan", folder, "--nodes", tmp_path / "nodes.json")
    assert printed.code == 1
    assert words in printed.err.replace("\n", " ")


def test_plan_refuses_other_bad_input(nexus: Nexus, folder: Path, tmp_path: Path) -> None:
    nodes = nodes_file(tmp_path / "nodes.json", {"node": "a", "memory": "1GiB", "tokens_per_second": 1})
    (tmp_path / "uses").write_text('{"0": [1, 2]}')
    (tmp_path / "list").write_text("[1]")
    for extra in (
        ("--context", 1000), ("--expert-uses", tmp_path / "uses"), ("--expert-uses", tmp_path / "list"),
        ("--expert-uses", tmp_path / "absent"), ("--coverage", 2),
    ):  # fmt: skip
        printed = nexus("model", "plan", folder, "--nodes", nodes, *extra, "--json")
        assert (printed.code, printed.json["error"]["type"]) == (1, "PlanInputError"), extra
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "nexus model import" in nexus("model", "plan", empty, "--nodes", nodes).err
