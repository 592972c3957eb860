"""``nexus model expert-uses``: from a Mixtral checkpoint and a text to a plan that keeps what the text uses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer

from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.planning.experts import owners
from nexus_chain.program import IntegerModel, Sampling
from nexus_chain.versions.model_files import ModelFiles
from tests.support.invocation import Nexus
from tests.support.random_checkpoints import checkpoint

ROOT = Path(__file__).resolve().parents[2]

EXPERTS, CONTEXT = 4, 20
TEXTS = {"calm": "no no no no " * 5, "lively": "def quick(brown, fox):\n    return jumps[over] * lazy / dog\n"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mixtral")
    checkpoint(place / "checkpoint", "mixtral", num_local_experts=EXPERTS, num_experts_per_tok=1, vocab_size=300)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(list(TEXTS.values()), 280, 2, show_progress=False)
    bpe.save(str(place / "checkpoint" / "tokenizer.json"))
    for name, text in TEXTS.items():
        (place / name).write_text(text)
    return place


@pytest.fixture
def model(nexus: Nexus, folder: Path) -> Path:
    out = folder / "integer"
    if not out.exists():
        assert nexus("model", "import", folder / "checkpoint", "--out", out, "--unmeasured").code == 0
    return out


def by_hand(folder: Path, text: str) -> dict[str, list[int]]:
    """The reference executor's choices over the text in contexts of CONTEXT tokens."""
    model, tokens = IntegerModel.load(folder), ModelFiles(folder).codec.encode(text)
    counts = {str(layer): [0] * EXPERTS for layer in range(2)}
    for start in range(0, len(tokens), CONTEXT):
        rows = torch.tensor(tokens[start : start + CONTEXT], dtype=torch.int32)
        trace = ReferenceExecutor(model.program, model.weights).run(rows, 1, Sampling())
        for layer, row in counts.items():
            for expert in trace[f"layers.{layer}.mlp.route.index"].flatten().tolist():
                row[expert] += 1
    return counts


def test_a_text_decides_what_stays_in_memory(nexus: Nexus, folder: Path, model: Path, tmp_path: Path) -> None:
    held = nexus("model", "inspect", model, "--context", CONTEXT, "--weights", "--json").json
    owner = owners(IntegerModel.load(model).program)
    experts = sum(weight["bytes"] for weight in held["weights"] if weight["name"] in owner)
    memory = held["memory_bytes"] - experts // 2  # half of the experts have to stay on disk
    node = {"node": "a", "memory": memory, "tokens_per_second": 10, "disk": "1MB"}
    (tmp_path / "nodes.json").write_text(json.dumps([node]))
    kept = {}
    for name, text in TEXTS.items():
        uses = tmp_path / f"{name}.json"
        counted = nexus("model", "expert-uses", model, folder / name, "--context", CONTEXT, "--out", uses, "--json")
        assert counted.code == 0, counted.err
        expected = by_hand(model, text)
        assert json.loads(uses.read_text()) == counted.json["uses"] == expected
        assert counted.json["tokens"] == sum(expected["0"]) == sum(expected["1"])
        words = ("--nodes", tmp_path / "nodes.json", "--context", CONTEXT, "--coverage", 0.3, "--json")
        plan = nexus("model", "plan", model, *words, "--expert-uses", uses)
        assert plan.code == 0, plan.err
        kept[name] = {owner[weight] for stage in plan.json["stages"] for weight in stage["resident"]}
        for layer, row in expected.items():
            assert (int(layer), row.index(max(row))) in kept[name], "the most used expert is never left on disk"
        assert len(kept[name]) == EXPERTS
    assert kept["calm"] != kept["lively"]


def test_for_people_and_beside_the_model(nexus: Nexus, folder: Path, model: Path) -> None:
    printed = nexus("model", "expert-uses", model, folder / "lively", "--context", CONTEXT)
    assert printed.code == 0
    assert "most used" in printed.out
    assert "plan with --expert-uses" in printed.err
    assert json.loads((model / "expert-uses.json").read_text()) == by_hand(model, TEXTS["lively"])


def test_what_cannot_be_counted_is_said(nexus: Nexus, folder: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    for text, extra, words in (
        (tmp_path / "absent", (), "cannot be read as text"),
        (tmp_path / "bytes", (), "Give a UTF-8 text file"),
        (tmp_path / "empty", (), "makes no token"),
        (folder / "calm", ("--context", 1000), "a context of 1000 positions"),
    ):
        printed = nexus("model", "expert-uses", model, text, *extra, "--json")
        assert (printed.code, printed.json["error"]["type"]) == (1, "PlanInputError")
        assert words in printed.json["error"]["message"] + printed.json["error"]["advice"]
    dense = tmp_path / "dense"
    checkpoint(dense, vocab_size=300)
    shutil.copy(folder / "checkpoint" / "tokenizer.json", dense)
    assert nexus("model", "import", dense, "--out", tmp_path / "out", "--unmeasured").code == 0
    assert "no experts" in nexus("model", "expert-uses", tmp_path / "out", folder / "calm").err
