"""Which folders are a registered version's files: damaged ones are passed over, hostile programs refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.content.block_store import BlockStore
from nexus_chain.program import PRESETS, IntegerModel, random_model
from nexus_chain.program.errors import UnreproducibleProgramError
from nexus_chain.program.file_names import PROGRAM_FILE, TOKENIZER_FILE
from nexus_chain.program.recipe import Recipe
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.manifest import Manifest
from nexus_chain.versions.model_files import ModelFiles, find_model_files
from nexus_chain.workflows.importing import keep_model
from tests.support.small_tokenizers import CHATML, byte_level, keep

MODEL = random_model(PRESETS["tiny"], seed=5)


@dataclass(frozen=True)
class Registered:
    """What is read of a registered version."""

    program_root: bytes
    weights_root: bytes
    tokenizer_hash: bytes = hashlib.sha256(b"{}").digest()


def kept(model: IntegerModel, folder: Path) -> ModelVersion:
    """The version of a model whose files are in ``folder``."""
    model.save(folder)
    (folder / TOKENIZER_FILE).write_text("{}")
    commitment = ModelCommitment.of(model)
    return cast(ModelVersion, Registered(commitment.program_root, commitment.weights_root))


def test_a_damaged_folder_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / PROGRAM_FILE).write_text("no program")
    (tmp_path / "a" / TOKENIZER_FILE).write_text("{}")
    version = kept(MODEL, tmp_path / "b")
    assert find_model_files(version, [tmp_path]) == ModelFiles(tmp_path / "b")
    assert find_model_files(version, [tmp_path]).model(version).program == MODEL.program


def test_nobody_orders_or_accuses_on_a_hostile_program(tmp_path: Path) -> None:
    """A watcher that recomputed with it would accuse honest nodes, and lose every game."""
    ops = list(MODEL.program.ops)
    at = next(i for i, op in enumerate(ops) if op.kind == "quantise" and op.layer == 1)
    other = next(op.outputs[0].name for op in ops if op.kind == "row_max" and op.layer == 0)
    ops[at] = replace(ops[at], inputs=(ops[at].inputs[0], other))
    hostile = replace(MODEL.program, ops=tuple(ops))
    hostile.validate()
    version = kept(IntegerModel(hostile, MODEL.weights), tmp_path / "hostile")
    files = find_model_files(version, [tmp_path])
    with pytest.raises(UnreproducibleProgramError, match=rf"op {ops[at].name} stands where they have one with other"):
        files.model(version)
    with pytest.raises(UnreproducibleProgramError):
        files.require(encoder=False)


def test_an_import_keeps_the_files_that_say_how_texts_are_written(tmp_path: Path) -> None:
    """And the manifest lists them, so that whoever fetches the version writes prompts as its publisher did."""
    source, store = tmp_path / "source", BlockStore(tmp_path / "blocks")
    files = {"tokenizer_config": {"bos_token": "<s>"}, "generation_config": {"eos_token_id": 4}, "added_tokens": {}}
    keep(source, byte_level("<s>", "</s>"), **files)
    (source / "chat_template.jinja").write_text(CHATML)
    (source / "model.safetensors").write_bytes(b"weights")
    keep_model(MODEL, Recipe(), source, tmp_path / "kept")
    names = {"tokenizer.json", "chat_template.jinja", *(f"{name}.json" for name in files)}
    for name in names:
        assert (tmp_path / "kept" / name).read_bytes() == (source / name).read_bytes()
    assert ModelFiles(tmp_path / "kept").codec.end_tokens == ModelFiles(source).codec.end_tokens
    manifest = Manifest.of_folder(source, "name", "1.0.0", store)
    assert names < set(manifest.files)
    manifest.fetch_files(store, tmp_path / "fetched")
    assert ModelFiles(tmp_path / "fetched").codec.chat_prompt([{"role": "user", "content": "h"}])


def test_a_tokenizer_of_another_form_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(ModelFilesError, match=r"has tokenizer.model, but no tokenizer.json.*save_pretrained"):
        keep_model(MODEL, Recipe(), tmp_path, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
