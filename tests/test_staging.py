"""Files that appear together or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_chain.staging import staged


def test_a_new_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with staged(target) as part:
        (part / "one").write_text("1")
        assert not target.exists()
    assert (target / "one").read_text() == "1"
    assert [path.name for path in target.parent.iterdir()] == ["b"]


def test_files_of_an_old_folder_are_replaced_and_others_stay(tmp_path: Path) -> None:
    target = tmp_path / "b"
    target.mkdir()
    (target / "one").write_text("old")
    (target / "other").write_text("kept")
    with staged(target) as part:
        (part / "one").write_text("new")
    assert {path.name: path.read_text() for path in target.iterdir()} == {"one": "new", "other": "kept"}
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def _interrupted(target: Path) -> None:
    with staged(target) as part:
        (part / "one").write_text("new")
        raise KeyboardInterrupt


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "one").write_text("old")
    for target in (tmp_path / "old", tmp_path / "x" / "y" / "z"):
        with pytest.raises(KeyboardInterrupt):
            _interrupted(target)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old" / "one").read_text() == "old"
