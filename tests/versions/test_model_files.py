"""Which folders are a registered version's files: damaged ones are passed over, hostile programs refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.program import PRESETS, IntegerModel, random_model
from nexus_chain.program.errors import UnreproducibleProgramError
from nexus_chain.program.file_names import PROGRAM_FILE, TOKENIZER_FILE
from nexus_chain.versions.model_files import ModelFiles, find_model_files

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
