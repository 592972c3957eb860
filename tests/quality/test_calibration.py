"""The text an import is measured on, and tokenizers that do not belong to the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer

import nexus_chain
from nexus_chain.quality import CalibrationError
from nexus_chain.quality.calibration import CALIBRATION_TOKENS, CALIBRATION_WINDOW, calibration_windows
from nexus_chain.quality.held_out import SAMPLE_FILE, HeldOutSample

SHIPPED = Path(nexus_chain.__file__).parent / "models" / "python-stdlib"
CONFIG = {"vocab_size": 300, "max_position_embeddings": 64, "bos_token_id": 0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(["def f(x): return x"] * 3, 270, 2, special_tokens=["<s>"], show_progress=False)
    bpe.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_the_standard_librarys_documentation_is_the_default(folder: Path) -> None:
    windows = calibration_windows(folder, CONFIG)
    assert len(windows) == CALIBRATION_TOKENS // 64
    assert {len(window) for window in windows} == {65}
    assert all(0 not in window for window in windows)  # as served: nothing puts <s> before a text
    assert all(torch.equal(a, b) for a, b in zip(windows, calibration_windows(folder, CONFIG), strict=True))


def test_a_held_out_sample_is_preferred_and_a_given_text_more_so(tmp_path: Path) -> None:
    config = json.loads((SHIPPED / "config.json").read_text())
    windows = calibration_windows(SHIPPED, config)
    sample = HeldOutSample.from_bytes((SHIPPED / SAMPLE_FILE).read_bytes())
    assert len(windows) == CALIBRATION_TOKENS // CALIBRATION_WINDOW
    (tmp_path / "text").write_text(sample.texts[0].text)
    given = calibration_windows(SHIPPED, config, tmp_path / "text")
    assert torch.equal(given[0], windows[0])


def test_a_short_text_is_one_short_window(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("def f(x)")
    (window,) = calibration_windows(folder, CONFIG, tmp_path / "text")
    assert 2 <= len(window) < 10


@pytest.mark.parametrize(("content", "message"), [(b"\xff\xfe", "as text"), (b"", "no two tokens")])
def test_texts_that_are_none_are_refused(folder: Path, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(CalibrationError, match=message):
        calibration_windows(folder, CONFIG, tmp_path / "text")
    with pytest.raises(CalibrationError, match="cannot be read as text"):
        calibration_windows(folder, CONFIG, tmp_path / "nothing")


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    with pytest.raises(
        CalibrationError, match=r"makes tokens up to 2\d\d, the model embeds 200 .the first beyond is '"
    ):
        calibration_windows(folder, {**CONFIG, "vocab_size": 200})
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(CalibrationError, match=r"tokenizer\.json is not a tokenizer"):
        calibration_windows(folder, CONFIG)
