"""``nexus model import``: what it says of a model's quality, and what it leaves behind when something is wrong."""

from __future__ import annotations

import errno
import json
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from nexus_chain.program import IntegerModel, Recipe, import_checkpoint, memory_check
from nexus_chain.program.smoothing import groups
from nexus_chain.workflows import importing
from tests.support.invocation import Nexus
from tests.support.tiny_publication import train

ROOT = Path(__file__).resolve().parents[2]

SHIPPED = ROOT / "nexus_chain" / "models" / "python-stdlib"
FILE, LINEAR = "model.safetensors", "model.layers.1.self_attn.q_proj.weight"
FILES = [
    "config.json",
    "generation_config.json",
    "program.json",
    "recipe.json",
    "tokenizer.json",
    "weights.safetensors",
]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    train(folder)
    return folder


@pytest.fixture
def checkpoint(pristine: Path, tmp_path: Path) -> Path:
    """A fresh copy to break."""
    return Path(shutil.copytree(pristine, tmp_path / "tiny"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_import_states_both_perplexities(nexus: Nexus, checkpoint: Path, tmp_path: Path) -> None:
    printed = nexus("--home", tmp_path / "home", "model", "import", checkpoint, "--json")
    assert printed.code == 0, printed.err
    quality = printed.json["quality"]
    assert abs(quality["relative_increase"]) <= 0.005
    assert quality["perplexity_integer"] / quality["perplexity_float32"] - 1 == pytest.approx(
        quality["relative_increase"]
    )
    assert quality["top1_agreement"] > 0.9
    assert quality["tokens"] == 4096
    folder = tmp_path / "home" / "models" / "tiny"
    assert printed.json["folder"] == str(folder)
    assert names(folder) == FILES
    assert Recipe.of_folder(folder) == Recipe()
    (tmp_path / "text").write_text("def f(x):\n    return x\n" * 40)
    told = nexus("--home", tmp_path / "home", "model", "import", checkpoint, "--calibration", tmp_path / "text")
    assert "as it is: perplexity" in told.err
    assert "in float32" in told.err
    assert "the same best token in" in told.err
    assert "nats" in told.err
    assert quality["kl"] < 0.01
    for name in ("relative_increase", "kl", "top1_agreement"):
        low, high = quality["intervals"][name]
        assert low <= quality[name] <= high


def test_an_unmeasured_import_gives_the_same_model(nexus: Nexus, checkpoint: Path, tmp_path: Path) -> None:
    printed = nexus("model", "import", checkpoint, "--out", tmp_path / "out", "--unmeasured", "--json")
    assert printed.json["quality"] is None
    expected, found = import_checkpoint(checkpoint), IntegerModel.load(tmp_path / "out")
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in expected.weights.items())


def test_a_model_past_the_gate_is_kept_only_when_wanted(nexus: Nexus, tmp_path: Path) -> None:
    source = tmp_path / "shipped"
    shutil.copytree(SHIPPED, source, ignore=shutil.ignore_patterns("metrics.json", "*.png", "*.gz"))
    shape = import_checkpoint(source).program.shape
    spoilt = {group: (20, -20) * (size // 2) for group, size in groups(shape).items() if group == "2.value"}
    (source / "recipe.json").write_text(Recipe(smoothing=spoilt).to_json())
    (tmp_path / "text").write_text(
        "import os\n\n\ndef read(path):\n    with open(path) as file:\n        return file.read()\n"
    )
    arguments = (
        "model",
        "import",
        source,
        "--out",
        tmp_path / "a" / "out",
        "--calibration",
        tmp_path / "text",
        "--json",
    )
    refused = nexus(*arguments)
    assert (refused.code, refused.json["error"]["type"]) == (1, "QualityGateError")
    assert "--beyond-gate" in refused.json["error"]["advice"]
    assert not (tmp_path / "a").exists()
    kept = nexus(*arguments, "--beyond-gate")
    assert kept.code == 0, kept.err
    assert kept.json["quality"]["relative_increase"] > 0.005
    assert Recipe.of_folder(tmp_path / "a" / "out").smoothing == spoilt
    assert nexus(*arguments, "--gate", 100 * kept.json["quality"]["relative_increase"] + 1).code == 0


def change_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def change_tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / FILE).items()}
        change(tensors)
        save_file(tensors, folder / FILE, metadata={"format": "pt"})

    return changed


def swap_tokenizer(folder: Path) -> None:
    shutil.copyfile(SHIPPED / "tokenizer.json", folder / "tokenizer.json")


BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "architecture": (change_config(architectures=["FalconForCausalLM"]), "CheckpointLayoutError", "FalconForCausalLM"),
    "quantised": (
        change_config(quantization_config={"quant_method": "awq"}), "CheckpointLayoutError", "_config (awq)",
    ),
    "missing": (change_tensors(lambda tensors: tensors.pop(LINEAR)), "TensorMismatchError", LINEAR),
    "extra": (
        change_tensors(lambda tensors: tensors.update({"adapter": torch.zeros(2)})), "TensorMismatchError", "adapter",
    ),
    "not a number": (
        change_tensors(lambda tensors: tensors[LINEAR].__setitem__((3, 1), float("nan"))), "NonFiniteWeightError",
        f"{LINEAR} holds NaN or infinity in row 3",
    ),
    "shape": (change_config(intermediate_size=72), "TensorMismatchError", "rows 64 to 71 are missing"),
    "tokenizer": (swap_tokenizer, "CalibrationError", "makes tokens up to 4095"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "CalibrationError", "tokenizer.json"),
    "recipe": (lambda folder: (folder / "recipe.json").write_text("{}") and None, "RecipeError", "recipe"),
    "metrics": (lambda folder: (folder / "metrics.json").write_text("{}") and None, "ModelFilesError", "metrics.json"),
    "nothing": (lambda folder: shutil.rmtree(folder), "ModelFilesError", "there is no folder"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_leaves_nothing_behind(nexus: Nexus, checkpoint: Path, tmp_path: Path, what: str) -> None:
    spoil, kind, message = BAD[what]
    spoil(checkpoint)
    for option in ([], ["--unmeasured"]):
        printed = nexus("model", "import", checkpoint, "--out", tmp_path / "new" / "out", "--json", *option)
        assert printed.code == 1
        error = printed.json["error"]
        assert error["type"] == kind or (what, option) == ("no tokenizer", ["--unmeasured"])
        assert message in error["message"]
        assert error["advice"]
        assert not (tmp_path / "new").exists()


def test_too_little_memory_is_said(
    nexus: Nexus, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable: 4000 kB\n")
    monkeypatch.setattr(memory_check, "MEMORY_FILE", tmp_path / "meminfo")
    printed = nexus("model", "import", checkpoint, "--out", tmp_path / "new" / "out", "--json")
    assert (printed.code, printed.json["error"]["type"]) == (1, "NotEnoughMemoryError")
    assert "GiB of memory" in printed.json["error"]["message"]
    assert "nexus model shard" in printed.json["error"]["advice"]
    assert not (tmp_path / "new").exists()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The system itself refuses to write on, in the middle of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("again", [False, True])
def test_a_disk_that_takes_no_more_leaves_what_was_there(
    nexus: Nexus, checkpoint: Path, tmp_path: Path, again: bool
) -> None:
    out = tmp_path / "new" / "out"
    arguments = ("model", "import", checkpoint, "--out", out, "--unmeasured", "--json")
    if again:
        assert nexus(*arguments).code == 0
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        change_tensors(lambda tensors: tensors[LINEAR].mul_(2))(checkpoint)
    with no_file_larger_than(20_000):
        printed = nexus(*arguments)
    assert (printed.code, printed.json["error"]["type"]) == (1, "ModelFolderError")
    assert "Make room" in printed.json["error"]["advice"]
    if again:
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
        assert names(out.parent) == ["out"]
    else:
        assert not out.parent.exists()


def test_a_disk_that_fills_with_the_last_file_leaves_nothing(
    nexus: Nexus, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(importing.shutil, "copyfile", full)
    printed = nexus("model", "import", checkpoint, "--out", tmp_path / "new" / "out", "--unmeasured", "--json")
    assert (printed.code, printed.json["error"]["type"]) == (1, "OperatingSystemError")
    assert "No space left" in printed.json["error"]["message"]
    assert not (tmp_path / "new").exists()


def test_a_hub_id_is_fetched_into_the_home(
    nexus: Nexus, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def fetch(repository: str, local_dir: Path, allow_patterns: list[str]) -> None:
        asked.update(repository=repository, patterns=allow_patterns)
        shutil.copytree(checkpoint, local_dir)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    home = tmp_path / "home"
    printed = nexus("--home", home, "model", "import", "someone/tiny-model", "--unmeasured", "--json")
    assert printed.code == 0, printed.err
    assert asked["repository"] == "someone/tiny-model"
    assert {FILE, f"{FILE}.index.json", "config.json"} <= set(asked["patterns"])
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in asked["patterns"])
    assert names(home / "checkpoints") == ["someone--tiny-model"]
    assert names(home / "models" / "someone--tiny-model") == FILES


def test_a_hub_that_cannot_be_reached_is_said(nexus: Nexus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    printed = nexus("--home", tmp_path, "model", "import", "someone/tiny-model", "--json")
    assert (printed.code, printed.json["error"]["type"]) == (1, "ModelFilesError")
    assert "could not be fetched" in printed.json["error"]["message"]
    assert "local folder" in printed.json["error"]["advice"]
