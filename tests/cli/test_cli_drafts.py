"""``nexus model draft-table``: from a text to a table that drafts are taken from, and what cannot become one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from nexus_chain.content.block_store import BlockStore
from nexus_chain.drafting.draft_table import DraftTable
from nexus_chain.drafting.table_making import distil
from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel
from nexus_chain.program.file_names import DRAFTS_FILE
from nexus_chain.versions.manifest import Manifest, weights_of
from nexus_chain.versions.model_files import ModelFiles
from tests.support.invocation import Nexus
from tests.support.live_network import write_model

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "nexus_chain" / "models" / "python-stdlib"
TEXTS = {"fib": "def fib(n):\n    return n\n" * 60, "loop": "for i in range(9):\n    print(i)\n" * 40}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


def test_a_table_is_distilled_beside_the_model(nexus: Nexus, model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    texts = ("--text", folder / "fib", "--text", folder / "loop")
    printed = nexus("model", "draft-table", folder, *texts, "--tokens", 400, "--threads", 1, "--json")
    assert printed.code == 0, printed.err
    files, loaded = ModelFiles(folder), IntegerModel.load(folder)
    encoded = [files.codec.encode(text) for text in TEXTS.values()]
    expected, answered = distil(Engine(loaded.program, loaded.weights), encoded, 400)
    size = (folder / DRAFTS_FILE).stat().st_size
    assert printed.json == {
        "file": str(folder / DRAFTS_FILE), "entries": len(expected), "bytes": size, "tokens": answered,
    }  # fmt: skip
    assert answered == 400
    kept = files.draft_table
    assert kept is not None
    assert np.array_equal(kept.contexts, expected.contexts)
    assert np.array_equal(kept.tokens, expected.tokens)
    again = nexus("model", "draft-table", folder, *texts, "--tokens", 400, "--out", tmp_path / "new" / "again")
    assert (again.code, again.out) == (0, f"{tmp_path / 'new' / 'again'}\n")
    assert f"{len(expected)} contexts from 400 tokens" in again.err
    assert (tmp_path / "new" / "again").read_bytes() == (folder / DRAFTS_FILE).read_bytes()


def test_docstrings_are_the_default_text(nexus: Nexus, model: Path, tmp_path: Path) -> None:
    printed = nexus("model", "draft-table", model, "--tokens", 200, "--out", tmp_path / "table", "--json")
    assert printed.code == 0, printed.err
    assert printed.json["tokens"] == 200


def test_what_cannot_be_distilled_is_said_and_leaves_nothing(nexus: Nexus, model: Path, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("def")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "file").write_text("")
    for words, message in (
        (("--text", tmp_path / "absent"), "cannot be read as text"),
        (("--text", tmp_path / "bytes"), "Give a UTF-8 text file"),
        (("--text", tmp_path / "short"), "no text has 64 tokens"),
        (("--text", model / "fib", "--out", tmp_path / "file" / "table"), "cannot be written"),
    ):
        printed = nexus("model", "draft-table", model, *words, "--tokens", 100, "--json")
        assert (printed.code, printed.json["error"]["type"]) == (1, "DraftTableError")
        assert message in printed.json["error"]["message"] + printed.json["error"]["advice"]
    assert nexus("model", "draft-table", tmp_path, "--json").json["error"]["type"] == "ProgramFormatError"
    assert not (model / DRAFTS_FILE).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bytes", "file", "short"]


# ---------------------------------------------------------------- the shipped table


def test_the_shipped_model_has_a_table_of_its_own_tokens() -> None:
    path = SHIPPED / DRAFTS_FILE
    table = DraftTable.read(path, ModelFiles(SHIPPED).tokenizer_hash, 4096)
    assert len(table) == 50_000
    assert path.stat().st_size < 400_000


def test_importing_and_publishing_take_the_table_along(nexus: Nexus, tmp_path: Path) -> None:
    imported = nexus("model", "import", SHIPPED, "--out", tmp_path / "imported", "--unmeasured", "--json")
    assert imported.code == 0, imported.err
    assert (tmp_path / "imported" / DRAFTS_FILE).read_bytes() == (SHIPPED / DRAFTS_FILE).read_bytes()
    table = ModelFiles(tmp_path / "imported").draft_table
    assert table is not None
    assert len(table) == 50_000

    store = BlockStore(tmp_path / "blocks")
    manifest = Manifest.of_folder(SHIPPED, "python-stdlib", "1.0.0", store)
    manifest.fetch_files(store, tmp_path / "fetched")
    assert (tmp_path / "fetched" / DRAFTS_FILE).read_bytes() == (SHIPPED / DRAFTS_FILE).read_bytes()
    assert weights_of(tmp_path / "fetched") == ("model.safetensors",)
