"""The file that trainers read, and that one line can be shown to be in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nexus_chain.commitments.errors import ProofError
from nexus_chain.commitments.merkle import EMPTY_ROOT
from nexus_chain.distillation.memory.errors import ExampleError, PersistenceError
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from tests.support.memory_examples import example, random_examples

EXAMPLES = [replace(one, confidence=0.9) for one in random_examples(21)]


def test_each_line_is_a_chat_of_two(memory: CognitivePersistence, tmp_path: Path) -> None:
    odd = example('Say "ä"\n\u2028now', "ok\\", confidence=0.95)
    memory.save_examples([odd, example("left out", confidence=0.79)])
    found = memory.export_lora_format(tmp_path / "new" / "train.jsonl")
    written = (tmp_path / "new" / "train.jsonl").read_bytes()
    assert written.count(b"\n") == found.count == 1
    assert json.loads(written) == {
        "messages": [{"role": "user", "content": odd.prompt}, {"role": "assistant", "content": odd.response}]
    }
    assert hashlib.sha256(written).hexdigest() == found.sha256
    assert [path.name for path in found.path.parent.iterdir()] == ["train.jsonl"]


def test_the_order_of_saving_and_compression_change_nothing(memory_url: str, tmp_path: Path) -> None:
    with CognitivePersistence(tmp_path / "other.db") as other:
        other.save_examples(EXAMPLES[::-1])
        other.compress(10.0)
        expected = other.export_lora_format(tmp_path / "other.jsonl")
    with CognitivePersistence(memory_url) as memory:
        memory.save_examples(EXAMPLES)
        found = memory.export_lora_format(str(tmp_path / "train.jsonl"))
        assert (found.count, found.sha256, found.merkle_root) == (21, expected.sha256, expected.merkle_root)
        assert memory.dataset_tree().root == found.merkle_root
    assert found.path.read_bytes() == expected.path.read_bytes()


def test_a_line_is_shown_to_be_in_the_dataset_without_the_others(memory: CognitivePersistence, tmp_path: Path) -> None:
    memory.save_examples(EXAMPLES)
    exported = memory.export_lora_format(tmp_path / "train.jsonl")
    lines, tree = exported.path.read_text().splitlines(), memory.dataset_tree()
    for one in EXAMPLES:
        proof = tree.proof(one)
        assert lines[proof.index] == proof.line
        proof.verify(exported.merkle_root)
    assert memory.inclusion_proof(EXAMPLES[4]) == tree.proof(EXAMPLES[4])


def test_a_changed_proof_fails(memory: CognitivePersistence) -> None:
    memory.save_examples(EXAMPLES)
    proof = memory.inclusion_proof(EXAMPLES[3])
    other = memory.inclusion_proof(EXAMPLES[4])
    changes = [
        replace(proof, line=proof.line.replace("}", " }")),
        replace(proof, line=other.line),
        replace(proof, index=(proof.index + 1) % proof.size),
        replace(proof, siblings=other.siblings),
        replace(proof, siblings=proof.siblings[:-1]),
        replace(proof, size=proof.size * 4),
    ]
    for changed in changes:
        with pytest.raises(ProofError):
            changed.verify(proof.root)
    with pytest.raises(ProofError):
        proof.verify("00" * 32)


def test_what_is_not_in_the_dataset_has_no_proof(memory: CognitivePersistence) -> None:
    memory.save_examples(EXAMPLES)
    spelled_otherwise = replace(EXAMPLES[0], prompt=EXAMPLES[0].prompt + " ")
    for absent in (example("Absent"), spelled_otherwise):
        with pytest.raises(ExampleError, match="not in the dataset"):
            memory.inclusion_proof(absent)
    with pytest.raises(ExampleError):
        memory.inclusion_proof(EXAMPLES[0], min_confidence=0.95)


def test_an_empty_dataset_has_the_empty_root(memory: CognitivePersistence, tmp_path: Path) -> None:
    found = memory.export_lora_format(tmp_path / "train.jsonl")
    assert (found.count, found.merkle_root, found.path.read_bytes()) == (0, EMPTY_ROOT.hex(), b"")


def test_a_file_that_cannot_be_written_is_not_there(memory: CognitivePersistence, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "folder", tmp_path / "file" / "train.jsonl"):
        with pytest.raises(PersistenceError, match="cannot be written") as caught:
            memory.export_lora_format(path)
        assert caught.value.advice
    assert list((tmp_path / "folder").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir() if "sqlite" not in path.name} == {"folder", "file"}
