"""The file that trainers read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nexus_chain.distillation.memory.errors import PersistenceError
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
        assert (found.count, found.sha256) == (21, expected.sha256)
    assert found.path.read_bytes() == expected.path.read_bytes()


def test_an_empty_dataset_is_an_empty_file(memory: CognitivePersistence, tmp_path: Path) -> None:
    found = memory.export_lora_format(tmp_path / "train.jsonl")
    assert (found.count, found.path.read_bytes()) == (0, b"")


def test_a_file_that_cannot_be_written_is_not_there(memory: CognitivePersistence, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "folder", tmp_path / "file" / "train.jsonl"):
        with pytest.raises(PersistenceError, match="cannot be written") as caught:
            memory.export_lora_format(path)
        assert caught.value.advice
    assert list((tmp_path / "folder").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir() if "sqlite" not in path.name} == {"folder", "file"}
