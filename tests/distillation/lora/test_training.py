"""Training in a process of its own: it learns, repeats, goes on after a kill, and says what stopped it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nexus_chain.distillation.lora import training_job
from nexus_chain.distillation.lora.adapter import ADAPTER_FILE, BASE_FILE
from nexus_chain.distillation.lora.base_model import base_sha256
from nexus_chain.distillation.lora.chat_examples import read_examples
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.errors import (
    BaseModelError,
    TrainingConfigError,
    TrainingDataError,
    TrainingInterruptedError,
    TrainingStorageError,
)
from nexus_chain.distillation.lora.supervised_training import TrainingProgress, run_supervised
from nexus_chain.distillation.lora.training_job import STATE_FILE, TrainingJob
from nexus_chain.distillation.lora.training_process import METRICS_JSON, METRICS_PICTURE
from tests.support.tiny_chat_model import sums, tiny_base, tiny_config, write_chat

KILLED_AT = 5
LEARNED = [number for number in range(100) if number % 10 < 4]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, examples and held-out problems."""
    folder = tmp_path_factory.mktemp("world")
    tiny_base(folder)
    write_chat(folder / "learned.jsonl", sums(LEARNED[:24]))
    write_chat(folder / "held_out.jsonl", sums([4, 15, 26, 37, 48]))
    return folder


@pytest.fixture(scope="module")
def uninterrupted(world: Path) -> Path:
    return run_supervised(job_in(world), world / "uninterrupted")


def job_in(world: Path, **changes: object) -> TrainingJob:
    base, learned, held_out = world / "base", world / "learned.jsonl", world / "held_out.jsonl"
    return TrainingJob(
        tiny_config(base, learned, **changes),
        str(base),
        base_sha256(base),
        read_examples(learned)[1],
        str(held_out),
        read_examples(held_out)[1],
    )


def adapter_bytes(result: Path) -> bytes:
    return (result / ADAPTER_FILE).read_bytes()


def test_it_learns_and_says_what_it_measured(uninterrupted: Path) -> None:
    first, second = json.loads((uninterrupted / METRICS_JSON).read_bytes())
    assert (first["epoch"], second["epoch"]) == (1, 2)
    assert second["loss"] < 0.8 * first["loss"]
    assert second["perplexity"] < first["perplexity"]
    assert (uninterrupted / METRICS_PICTURE).read_bytes().startswith(b"\x89PNG")
    assert json.loads((uninterrupted / BASE_FILE).read_bytes())["base_sha256"]


def test_after_a_kill_it_goes_on_to_the_same_bytes(world: Path, uninterrupted: Path) -> None:
    folder, steps = world / "killed", list[int]()

    def kill(progress: TrainingProgress) -> None:
        if progress.step and progress.step.done == KILLED_AT:
            os.kill(progress.process, signal.SIGKILL)

    def note(progress: TrainingProgress) -> None:
        steps.extend([progress.step.done] if progress.step else [])

    with pytest.raises(TrainingInterruptedError, match="was ended by signal 9 after step"):
        run_supervised(job_in(world), folder, kill)
    assert adapter_bytes(run_supervised(job_in(world), folder, note)) == adapter_bytes(uninterrupted)
    assert steps[0] > 1  # it did not start again
    assert steps[-1] == 12


def test_a_damaged_checkpoint_costs_time_and_changes_nothing(world: Path, uninterrupted: Path) -> None:
    folder = world / "damaged"
    folder.mkdir()
    (folder / STATE_FILE).write_bytes((world / "uninterrupted" / STATE_FILE).read_bytes()[:3000])
    assert adapter_bytes(run_supervised(job_in(world), folder)) == adapter_bytes(uninterrupted)


def test_two_processes_train_what_one_does(world: Path) -> None:
    """Sums of gradients in another order: the same numbers but for rounding, and both processes took part."""
    alone = run_supervised(job_in(world, lora_dropout=0.0, num_epochs=1), world / "alone")
    both = run_supervised(job_in(world, lora_dropout=0.0, num_epochs=1, processes=2), world / "both")
    expected, found = load_file(alone / ADAPTER_FILE), load_file(both / ADAPTER_FILE)
    assert list(expected) == list(found)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0.05, atol=2e-3)
    one, two = (json.loads((result / METRICS_JSON).read_bytes())[0] for result in (alone, both))
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
    assert one["perplexity"] == pytest.approx(two["perplexity"], rel=1e-2)


def test_what_may_not_change_is_checked_by_the_process(world: Path, tmp_path: Path) -> None:
    job = job_in(world)
    shutil.copy(world / "learned.jsonl", tmp_path / "learned.jsonl")
    moved = TrainingJob(**{**job.__dict__, "config": tiny_config(world / "base", tmp_path / "learned.jsonl")})
    write_chat(tmp_path / "learned.jsonl", sums(LEARNED[:5]))
    with pytest.raises(TrainingDataError, match=r"learned\.jsonl has changed"):
        run_supervised(moved, tmp_path / "job")


def test_a_full_disk_is_named(world: Path, tmp_path: Path) -> None:
    """A limit on the size of files, which the process inherits, stands for the disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    job = job_in(world)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(TrainingStorageError, match="cannot be written"):
            run_supervised(job, tmp_path / "job")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in (tmp_path / "job").iterdir()] == ["job.json"]


def test_layers_that_are_not_there_are_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingConfigError, match="does not fit the base model"):
        run_supervised(job_in(world, target_modules=("no_such",)), tmp_path / "job")


def test_a_folder_without_a_model_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BaseModelError, match="no safetensors"):
        base_sha256(tmp_path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"lora_rank": 0}, "lora_rank is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"lora_dropout": 1.0}, "lora_dropout is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"target_modules": ()}, "target_modules is"),
        ({"target_modules": "q_proj"}, "target_modules is"),
        ({"target_modules": ("q_proj", 5)}, "target_modules is"),
        ({"learning_rate": 10**400}, "learning_rate is a number of more than 20 digits"),
        ({"learning_rate": "x"}, "learning_rate is 'x'"),
        ({"warmup": "a"}, "warmup is 'a'"),
        ({"lora_rank": 1.5}, "lora_rank is 1.5"),
        ({"num_epochs": 10**12}, "num_epochs is 1000000000000"),
        ({"batch_size": float("inf")}, "batch_size is inf"),
        ({"threads": 100_000}, "threads is 100000"),
        ({"seed": None}, "seed is None"),
        ({"lora_alpha": True}, "lora_alpha is True"),
        ({"processes": 9}, "batch_size is below processes"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(TrainingConfigError, match=problem):
        tiny_config(Path("base"), Path("data"), **changes)


def test_another_machine_or_library_does_not_go_on_with_a_checkpoint(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint is gone on from where its identity is the training's."""
    job = job_in(world)
    here = job.identity
    assert job_in(world).identity == here
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(training_job, "cpu_class", lambda: "aarch64-unclassified")
        assert job.identity != here
    for library in ("torch", "transformers", "peft"):
        with monkeypatch.context() as updated:
            updated.setattr(training_job, "version", lambda name, new=library: "9" if name == new else version(name))
            assert job.identity != here, library
    assert replace(job, base_sha256="00" * 32).identity != here


def test_a_config_comes_back_and_unknown_settings_do_not() -> None:
    config = TrainingConfig("m", "d", seed=4, target_modules=("q_proj",))
    assert TrainingConfig.from_json(config.to_json()) == config
    with pytest.raises(TrainingConfigError, match="colour is no setting"):
        TrainingConfig.from_json({**config.to_json(), "colour": 1})


def test_the_learning_rate_rises_and_falls() -> None:
    config = TrainingConfig("m", "d", learning_rate=1.0, warmup=0.2)
    rates: Sequence[float] = [config.learning_rate_at(step, 10) for step in range(10)]
    assert rates[:2] == [0.5, 1.0]
    assert list(rates[2:]) == sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.2
