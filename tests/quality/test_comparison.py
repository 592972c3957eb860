"""What judges an import: three measures, each seeing what another does not, on text that chose nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nexus_chain.engine.engine import Engine
from nexus_chain.program import import_checkpoint
from nexus_chain.quality import GATE, Comparison, FloatModel, QualityGateError, assess, require_alike
from nexus_chain.quality.calibration import calibration_windows, conversations, documentation, judging_windows
from tests.support.random_checkpoints import SIZES, checkpoint
from tests.support.small_tokenizers import CHATML, byte_level, first_token, keep

GOOD = Comparison(10.0, 10.01, 0.99, 100, 0.001, 0.995)
WINDOWS = [
    torch.randint(0, SIZES["vocab_size"], (49,), generator=torch.Generator().manual_seed(seed)) for seed in range(6)
]


class Table:
    """Logits that are looked up by the token before."""

    def __init__(self, logits: Tensor) -> None:
        self.table = logits

    def logits(self, tokens: Tensor) -> Tensor:
        return self.table[tokens.long()]


def test_measures_are_those_of_the_definitions() -> None:
    real = Table(torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    integer = Table(torch.tensor([[0.0, 1.0, 9.0], [0.0, 0.05, 9.0]]))  # the third is no token of the float model
    window = torch.tensor([0, 1, 0])
    found = assess(integer, real, [window], unit=1.0)
    logs = [model.table.double()[:, :2].log_softmax(1) for model in (real, integer)]
    losses = [-(log[0, 1] + log[1, 0]) / 2 for log in logs]
    assert found.perplexity_float == pytest.approx(float(losses[0].exp()))
    assert found.perplexity_integer == pytest.approx(float(losses[1].exp()))
    assert found.divergence == pytest.approx(float((logs[0].exp() * (logs[0] - logs[1])).sum() / 2))
    assert (found.top1_agreement, found.fair_agreement, found.tokens) == (0.5, 0.5, 2)
    assert all(low == pytest.approx(high) for _, (low, high) in found.intervals)  # one window varies in nothing


def test_a_token_that_is_as_likely_is_no_disagreement() -> None:
    real, integer = Table(torch.tensor([[0.0, 0.05]])), Table(torch.tensor([[0.05, 0.0]]))
    found = assess(integer, real, [torch.tensor([0, 0, 0])], unit=1.0)
    assert (found.top1_agreement, found.fair_agreement) == (0.0, 1.0)


def test_intervals_hold_what_was_measured_and_are_the_same_every_time(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    model, real = import_checkpoint(tmp_path), FloatModel(tmp_path)
    found = assess(Engine(model.program, model.weights), real, WINDOWS)
    assert found == assess(Engine(model.program, model.weights), real, WINDOWS)
    figures = found.figures()
    assert set(figures["intervals"]) == {"relative_increase", "kl", "top1_agreement"}
    for name, (low, high) in figures["intervals"].items():
        assert low < figures[name] < high
    require_alike(found, GATE)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_model_of_random_weights_with_a_wrong_rope_does_not_pass(family: str, tmp_path: Path) -> None:
    """Its perplexity is as bad as that of the right one, so perplexity alone cannot tell them apart."""
    checkpoint(tmp_path, family)
    model = import_checkpoint(tmp_path)
    path = tmp_path / "config.json"
    wrong = {**json.loads(path.read_text()), "rope_parameters": {"rope_type": "default", "rope_theta": 100.0}}
    path.write_text(json.dumps(wrong))
    found = assess(Engine(model.program, model.weights), FloatModel(tmp_path), WINDOWS)
    assert found.top1_agreement < 0.5
    for lucky in (found, replace(found, perplexity_integer=found.perplexity_float)):
        with pytest.raises(QualityGateError) as refused:
            require_alike(lucky, GATE)
        assert "config.json may be read otherwise" in refused.value.advice


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, perplexity_integer=10.06),
        replace(GOOD, fair_agreement=0.96),
        replace(GOOD, fair_agreement=None, top1_agreement=0.96),
        replace(GOOD, divergence=0.03),
        replace(GOOD, divergence=float("nan")),
        replace(GOOD, perplexity_integer=float("nan")),
    ],
)
def test_each_measure_refuses_by_itself(bad: Comparison) -> None:
    require_alike(GOOD, GATE)
    with pytest.raises(QualityGateError):
        require_alike(bad, GATE)


def test_a_looser_gate_loosens_every_limit() -> None:
    require_alike(replace(GOOD, perplexity_integer=10.09, fair_agreement=0.95, divergence=0.015), 2 * GATE)


def folder_with(tmp_path: Path, **files: object) -> Path:
    keep(tmp_path, first_token(byte_level("<s>", "<|im_start|>", "<|im_end|>"), "<s>"), **files)
    return tmp_path


CONFIG = {"vocab_size": 320, "max_position_embeddings": 64}


def test_no_text_judges_what_it_chose(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    chose, judged = calibration_windows(folder, CONFIG), judging_windows(folder, CONFIG)
    assert len(chose) == len(judged) == 64
    assert {tuple(window.tolist()) for window in chose}.isdisjoint(tuple(window.tolist()) for window in judged)
    (tmp_path / "text").write_text("".join(chr(0x100 + at) for at in range(100)))
    halves = [windows(folder, CONFIG, tmp_path / "text") for windows in (calibration_windows, judging_windows)]
    seen = [[token for window in half for token in window[:-1].tolist()] for half in halves]
    assert abs(len(seen[0]) - len(seen[1])) < 64
    assert halves[0][0].tolist()[0] == 256 + 4  # as served: begun once
    assert 256 + 4 not in seen[1]


def test_a_chat_model_is_measured_on_conversations_too(tmp_path: Path) -> None:
    plain = judging_windows(folder_with(tmp_path / "a"), CONFIG)
    folder = folder_with(tmp_path / "b", tokenizer_config={"chat_template": CHATML})
    for windows in (calibration_windows(folder, CONFIG), judging_windows(folder, CONFIG)):
        turns = [sum(int((window == 256 + 4 + 1).sum()) for window in part) for part in (windows[:32], windows[32:])]
        assert len(windows) == len(plain)
        assert turns[0] == 0 < turns[1]


def test_conversations_are_of_the_same_documentation() -> None:
    first = next(conversations(["json"]))
    assert [message["role"] for message in first] == ["user", "assistant"] * 2
    assert first[1]["content"] in next(documentation(["json"]))
