"""The trainer's decisions: when to train, what to deploy, how to go back; versions, adapters and merged weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nexus_chain.distillation.lora.accuracy import MeasuredAccuracy
from nexus_chain.distillation.lora.adapter import (
    ADAPTER_FILE,
    adapter_content,
    adapter_tensors,
    require_adapter,
    with_adapter,
    write_adapter,
)
from nexus_chain.distillation.lora.base_model import base_sha256, load_base
from nexus_chain.distillation.lora.errors import (
    AdapterError,
    LearnedVersionError,
    NotBetterError,
    NotEnoughExamplesError,
    OtherBaseError,
    OverlapError,
    TrainingStorageError,
)
from nexus_chain.distillation.lora.merging import merge_adapter
from nexus_chain.distillation.lora.metrics import TrainingMetrics
from nexus_chain.distillation.lora.registry import REGISTRY_FILE, VersionRegistry
from nexus_chain.distillation.lora.trainer import HeldOutProblem, LoRATrainer
from nexus_chain.distillation.lora.version import LearnedVersion
from nexus_chain.program import import_checkpoint
from tests.support.tiny_chat_model import sums, tiny_base, tiny_config, write_chat


@dataclass(frozen=True)
class Counted:
    total_count: int


@dataclass(frozen=True)
class Memory:
    """``confidences`` of its examples."""

    confidences: tuple[float, ...] = ()

    def get_dataset(self, min_confidence: float = 0.8) -> Counted:
        return Counted(sum(one >= min_confidence for one in self.confidences))


def equals(answer: str) -> Callable[[str], bool]:
    return lambda text: text.strip() == answer


HELD_OUT = [HeldOutProblem(prompt, answer, equals(answer)) for prompt, answer in sums([4, 15, 26])]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def trainer(tmp_path: Path) -> LoRATrainer:
    return LoRATrainer(tmp_path / "versions", Memory(), HELD_OUT)


def adapter_for(base: Path, folder: Path) -> Path:
    """An adapter of random numbers."""
    model, _ = load_base(base)
    torch.manual_seed(3)
    trained = with_adapter(model, tiny_config(base, base))
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    folder.mkdir()
    write_adapter(trained, base_sha256(base), folder)
    return folder


def version(trainer: LoRATrainer, right: int | None, number: int = -1, problems: str = "same") -> LearnedVersion:
    """A version kept in the registry, measured on 100 problems, or not at all."""
    measured = None if right is None else MeasuredAccuracy(right, 100)
    path = "" if number == 0 else "adapter"
    made = LearnedVersion(number, "base", 1.0, 1000, 0.9, path, "b" * 64, measured, held_out_sha256=problems)
    return trainer.registry.add(made)


@pytest.mark.parametrize(
    ("confidences", "ready"),
    [((0.8,) * 1000, True), ((0.9,) * 999, False), ((0.9,) * 999 + (0.79,) * 500, False), ((), False)],
)
def test_a_thousand_sure_examples_are_enough(tmp_path: Path, confidences: tuple[float, ...], ready: bool) -> None:
    assert LoRATrainer(tmp_path, Memory(confidences), HELD_OUT).should_train() is ready


def test_the_first_version_has_to_beat_the_base_model(trainer: LoRATrainer) -> None:
    version(trainer, 10, number=0)
    better = version(trainer, 40)
    assert better.version == 1
    trainer.deploy(better)
    assert trainer.registry.state().in_use == 1


def test_not_better_is_not_deployed_and_says_by_how_much(trainer: LoRATrainer) -> None:
    version(trainer, 50, number=0)
    with pytest.raises(NotBetterError, match=r"59\.0% \(59 of 100; 95 % interval 49\.2% to"):
        trainer.deploy(version(trainer, 59))
    assert trainer.registry.state().in_use == 0


def test_the_old_accuracy_is_the_deployed_version_not_the_best(trainer: LoRATrainer) -> None:
    version(trainer, 10, number=0)
    first, second = version(trainer, 40), version(trainer, 60)
    trainer.deploy(second)
    with pytest.raises(NotBetterError):
        trainer.deploy(first)
    assert trainer.rollback(0).version == 0
    trainer.deploy(first)
    assert trainer.get_best_version().version == 2
    assert trainer.registry.state().deployed == (0, 2, 0, 1)


@pytest.mark.parametrize(("right", "problems"), [(None, "same"), (90, "other")])
def test_unmeasured_or_otherwise_measured_is_not_deployed(
    trainer: LoRATrainer, right: int | None, problems: str
) -> None:
    with pytest.raises(LearnedVersionError, match="not measured on the same problems"):
        trainer.deploy(version(trainer, 90))  # the base model is not measured
    version(trainer, 10, number=0)
    with pytest.raises(LearnedVersionError, match="not measured on the same problems"):
        trainer.deploy(version(trainer, right, problems=problems))


def test_rollback_to_a_version_that_is_not_there(trainer: LoRATrainer) -> None:
    version(trainer, 10, number=0)
    with pytest.raises(LearnedVersionError, match="there is no version 7"):
        trainer.rollback(7)


def test_of_equals_the_earliest_is_best_and_none_is_an_error(trainer: LoRATrainer) -> None:
    with pytest.raises(LearnedVersionError, match="no version is measured"):
        trainer.get_best_version()
    for right in (None, 30, 30, 20):
        version(trainer, right)
    assert trainer.get_best_version().version == 2


def test_versions_survive(trainer: LoRATrainer, base: Path) -> None:
    made = version(trainer, 30)
    full = replace(made, config=tiny_config(base, base), metrics=(TrainingMetrics(1, 0.5, 0.1, 2.0, 3.0),), parent=0)
    trainer.registry.update(full)
    again = VersionRegistry(trainer.folder)
    assert again.get(1) == full
    assert trainer.training_history == full.metrics
    assert full.validation_accuracy == 0.3


@pytest.mark.parametrize("text", ["{", "[]", '{"versions": [{}], "deployed": [0]}', '{"versions": 3, "deployed": [0]}'])
def test_a_damaged_registry_is_named(trainer: LoRATrainer, text: str) -> None:
    version(trainer, 30)
    (trainer.folder / REGISTRY_FILE).write_text(text)
    with pytest.raises(LearnedVersionError, match="cannot be read"):
        trainer.registry.state()


def test_too_few_examples_and_overlap_are_refused_before_anything_runs(
    trainer: LoRATrainer, base: Path, tmp_path: Path
) -> None:
    few = write_chat(tmp_path / "few.jsonl", sums(range(30, 40)))
    with pytest.raises(NotEnoughExamplesError, match="there are 10 examples, a training takes 1000"):
        trainer.train(tiny_config(base, few))
    known = write_chat(tmp_path / "known.jsonl", sums([1, 15]))
    with pytest.raises(OverlapError, match=r"held-out problem 2 \('1 \+ 5 ='\) equals example 2"):
        trainer.train(tiny_config(base, known), fewest=1)
    assert not trainer.folder.exists()


def test_from_examples_to_a_measured_version(trainer: LoRATrainer, base: Path, tmp_path: Path) -> None:
    learned = write_chat(tmp_path / "learned.jsonl", sums(range(50, 60)), 0.9)
    made = trainer.train(tiny_config(base, learned, num_epochs=1), fewest=1)
    assert (made.version, made.num_examples, made.parent) == (1, 10, 0)
    assert made.avg_confidence == pytest.approx(0.9)
    assert len(made.metrics) == 1
    require_adapter(Path(made.model_path), made.base_sha256)
    assert trainer.train(made.config or tiny_config(base, learned), fewest=1) == made
    before, after = trainer.measure_base(base), trainer.validate(made)
    assert (before.total, after.total) == (3, 3)
    assert [one.measured for one in trainer.model_versions] == [after, before]
    with pytest.raises(NotBetterError):
        trainer.deploy(made)


def test_versions_of_another_base_do_not_mix(trainer: LoRATrainer, base: Path, tmp_path: Path) -> None:
    trainer.measure_base(base)
    with pytest.raises(OtherBaseError, match="have another base model"):
        trainer.measure_base(tiny_base(tmp_path, intermediate_size=96))


def test_a_verifier_judges_the_greedy_answers(tmp_path: Path, base: Path) -> None:
    heard: list[str] = []
    problems = [HeldOutProblem("1 + 1 =", "2", lambda text: not heard.append(text)), HELD_OUT[0]]
    assert LoRATrainer(tmp_path / "v", Memory(), problems).measure_base(base).right == 1
    assert len(heard) == 1


def test_the_same_numbers_are_the_same_bytes() -> None:
    one, two = torch.ones(2, 2), torch.arange(4.0)
    assert adapter_content({"a": one, "b": two}) == adapter_content({"b": two.clone(), "a": one.t()})
    assert adapter_content({"a": one}) != adapter_content({"a": -one})


def test_a_changed_or_missing_adapter_is_refused(base: Path, tmp_path: Path) -> None:
    folder = adapter_for(base, tmp_path / "adapter")
    path, sha256 = folder / ADAPTER_FILE, base_sha256(base)
    require_adapter(folder, sha256)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(AdapterError, match="its hash is"):
        require_adapter(folder, sha256)
    path.write_bytes(content[:50])
    with pytest.raises(AdapterError, match="cannot be read"):
        require_adapter(folder, sha256)
    with pytest.raises(AdapterError, match="cannot be read"):
        require_adapter(tmp_path / "none", sha256)


def test_an_adapter_of_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    folder = adapter_for(base, tmp_path / "adapter")
    other = tiny_base(tmp_path, intermediate_size=96)
    with pytest.raises(OtherBaseError, match="was trained on the base model"):
        merge_adapter(other, folder, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_merged_weights_are_base_and_adapter_and_the_importer_reads_them(base: Path, tmp_path: Path) -> None:
    adapter = adapter_for(base, tmp_path / "adapter")
    merged = merge_adapter(base, adapter, tmp_path / "merged")
    before, after = load_file(base / "model.safetensors"), load_file(merged / "model.safetensors")
    tensors = load_file(adapter / ADAPTER_FILE)
    assert list(before) == list(after)
    changed = 0
    for name, tensor in before.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        expected = tensor.to(torch.float32)
        if f"{stem}.lora_A.weight" in tensors:
            changed += 1
            expected = expected + 16 / 4 * tensors[f"{stem}.lora_B.weight"] @ tensors[f"{stem}.lora_A.weight"]
        torch.testing.assert_close(after[name], expected)
    assert changed == 2 * 7  # layers, and linear layers of each
    assert import_checkpoint(merged).program.shape.vocab == 264
    assert (merged / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    config = json.loads((merged / "config.json").read_bytes())
    assert config["torch_dtype"] == "float32"
    model, _ = load_base(merged)
    assert not adapter_tensors_of(model)


def adapter_tensors_of(model: torch.nn.Module) -> list[str]:
    return [name for name, _ in model.named_parameters() if "lora" in name]


def test_peft_reads_the_adapter(base: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    folder = adapter_for(base, tmp_path / "adapter")
    model, _ = load_base(base)
    found = adapter_tensors(PeftModel.from_pretrained(model, str(folder)))
    assert adapter_content(found) == (folder / ADAPTER_FILE).read_bytes()


def test_no_room_for_merged_weights(base: Path, tmp_path: Path) -> None:
    adapter = adapter_for(base, tmp_path / "adapter")
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingStorageError, match="cannot be written"):
        merge_adapter(base, adapter, tmp_path / "file" / "merged")


def test_version_zero_has_nothing_to_merge(trainer: LoRATrainer, tmp_path: Path) -> None:
    version(trainer, 10, number=0)
    with pytest.raises(LearnedVersionError, match="is the base model itself"):
        trainer.merge(0, tmp_path / "merged")
