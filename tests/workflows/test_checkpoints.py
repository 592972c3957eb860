"""Which checkpoint a name stands for: folders, GGUF files, what the hub has of them, and what is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.utils import filter_repo_objects

from nexus_chain.client.home import ClientHome
from nexus_chain.errors import NexusError
from nexus_chain.program.errors import CheckpointLayoutError
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.workflows.checkpoints import FETCHED, checkpoint_source, opened_checkpoint, opened_folder
from nexus_chain.workflows.importing import Measuring, import_named
from tests.support.gguf_files import Spelling, write_gguf
from tests.support.random_checkpoints import checkpoint

KEPT = ["program.json", "recipe.json", "tokenizer.json", "weights.safetensors"]


@pytest.fixture
def home(tmp_path: Path) -> ClientHome:
    return ClientHome(tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return write_gguf(tmp_path / "files" / "tiny.Q8_0.gguf", checkpoint(tmp_path / "one"), Spelling(kind="Q8_0"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("named", ["tiny.Q8_0.gguf", "."])
def test_a_gguf_file_is_imported_by_its_name_or_its_folders(named: str, file: Path, home: ClientHome) -> None:
    found = import_named(str(file.parent / named), home, None, None)
    assert found.folder == home.models / "tiny.Q8_0"
    assert set(KEPT) <= set(names(found.folder))
    assert names(home.root) == ["models"]


def test_a_configuration_beside_a_gguf_file_is_no_checkpoint(file: Path, home: ClientHome) -> None:
    (file.parent / "config.json").write_text('{"model_type": "llama"}')
    assert checkpoint_source(str(file.parent), home) == file


def test_the_float_model_of_a_gguf_file_is_what_its_import_is_measured_against(
    tmp_path: Path, home: ClientHome
) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", checkpoint(tmp_path / "one", vocab_size=288), Spelling(kind="Q8_0"))
    (tmp_path / "text").write_text("To measure on: it is long enough. " * 20)
    measuring = Measuring(gate=0.005, text=tmp_path / "text", beyond_gate=True)
    found = import_named(str(path), home, None, measuring)
    assert found.imported.quality is not None
    assert abs(found.imported.quality["relative_increase"]) < 0.02
    assert names(home.root) == ["models"]


def test_what_was_written_to_read_it_goes_away_after_an_error_too(tmp_path: Path, home: ClientHome) -> None:
    path = write_gguf(tmp_path / "odd.gguf", checkpoint(tmp_path / "one"), Spelling("qwen2"))  # no biases
    with opened_checkpoint(str(path), home) as folder:
        assert (folder / "config.json").is_file()
        assert folder.parent.parent == home.root
    with pytest.raises(NexusError, match=r"q_proj\.bias"):
        import_named(str(path), home, None, None)
    assert names(home.root) == []


def test_a_refused_file_leaves_nothing(tmp_path: Path, home: ClientHome) -> None:
    path = write_gguf(tmp_path / "odd.gguf", checkpoint(tmp_path / "one"), Spelling("gemma3"))
    with pytest.raises(CheckpointLayoutError, match="gemma3"):
        import_named(str(path), home, None, None)
    assert names(home.root) == []


def test_a_folder_of_several_files_lists_them(file: Path, home: ClientHome) -> None:
    (file.parent / "tiny.Q4_0.gguf").write_bytes(file.read_bytes())
    (file.parent / "mmproj-tiny.gguf").write_bytes(b"")
    with pytest.raises(ModelFilesError, match=r"holds 2 GGUF files: tiny.Q4_0.gguf, tiny.Q8_0.gguf.*tiny.Q4_0.gguf"):
        checkpoint_source(str(file.parent), home)


def test_a_checkpoint_goes_before_a_gguf_file_beside_it(file: Path, tmp_path: Path, home: ClientHome) -> None:
    file.rename(tmp_path / "one" / file.name)
    assert checkpoint_source(str(tmp_path / "one"), home) == tmp_path / "one"


@pytest.mark.parametrize("named", ["some/where/else/deep", "weights.bin", "a folder"])
def test_what_is_nowhere(named: str, home: ClientHome, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(ModelFilesError, match=r"there is no folder|is no GGUF file"):
        checkpoint_source(str(tmp_path / "weights.bin") if named == "weights.bin" else f"./{named}", home)


def test_a_place_to_publish_from(file: Path, home: ClientHome, tmp_path: Path) -> None:
    with opened_folder(file, home) as folder:
        assert folder.name == "tiny.Q8_0"
        assert (folder / "model.safetensors").is_file()
    with opened_folder(tmp_path / "nothing", home) as folder:
        assert folder == tmp_path / "nothing"


Hub = Callable[..., None]


@pytest.fixture
def hub(file: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A repository of the hub that holds these files, GGUF ones all alike."""

    def hold(*held: str) -> None:
        def snapshot(repository: str, local_dir: Path, allow_patterns: list[str]) -> None:
            for name in filter_repo_objects(held, allow_patterns=allow_patterns):
                fetch(repository, name, local_dir)

        def fetch(repository: str, name: str, local_dir: Path) -> str:
            assert repository == "some-one/tiny.model-GGUF"
            if name not in held:
                raise OSError(f"404: no {name}")
            (local_dir / name).parent.mkdir(parents=True, exist_ok=True)
            (local_dir / name).write_bytes(file.read_bytes() if name.endswith(".gguf") else b"{}")
            return str(local_dir / name)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
        monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda repository: list(held))
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)

    return hold


REPOSITORY = "some-one/tiny.model-GGUF"


@pytest.mark.parametrize("named", ["", "/tiny.gguf", ":tiny.gguf"])
def test_a_gguf_file_of_the_hub(named: str, hub: Hub, home: ClientHome) -> None:
    hub("tiny.gguf", "mmproj.gguf", "README.md", "config.json")
    found = import_named(REPOSITORY + named, home, None, None)
    assert found.folder == home.models / "tiny"
    assert (home.checkpoints / "some-one--tiny.model-GGUF" / "tiny.gguf").is_file()


def test_several_gguf_files_of_the_hub_are_listed(hub: Hub, home: ClientHome) -> None:
    hub("b.Q8_0.gguf", "a.Q4_0.gguf")
    with pytest.raises(ModelFilesError, match=f"a.Q4_0.gguf, b.Q8_0.gguf.*{REPOSITORY}/a.Q4_0.gguf"):
        checkpoint_source(REPOSITORY, home)
    with pytest.raises(ModelFilesError, match=r"c\.gguf is not on this machine .*404"):
        checkpoint_source(f"{REPOSITORY}/c.gguf", home)
    assert checkpoint_source(f"{REPOSITORY}:b.Q8_0.gguf", home).name == "b.Q8_0.gguf"


def test_weights_of_a_checkpoint_go_before_gguf_files_on_the_hub(hub: Hub, home: ClientHome) -> None:
    hub("model.safetensors", "config.json", "tiny.gguf")
    assert checkpoint_source(REPOSITORY, home) == home.checkpoints / "some-one--tiny.model-GGUF"


def test_shards_and_modules_of_other_names_are_fetched_as_they_are_named(
    hub: Hub, home: ClientHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: only shards named model-… and modules named by a number were fetched."""
    shards = ["model.safetensors-00001-of-00002.safetensors", "layers[2].safetensors"]
    hub("config.json", "model.safetensors.index.json", "modules.json", *shards, "pool/config.json", "other.safetensors")
    snapshot, folder = huggingface_hub.snapshot_download, home.checkpoints / "some-one--tiny.model-GGUF"

    def told(repository: str, local_dir: Path, allow_patterns: list[str]) -> None:
        snapshot(repository, local_dir, allow_patterns)
        index = {"weight_map": {str(at): shard for at, shard in enumerate(shards)}}
        (local_dir / "model.safetensors.index.json").write_text(json.dumps(index))
        (local_dir / "modules.json").write_text(json.dumps([{"path": ""}, {"path": "pool"}, "?"]))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", told)
    checkpoint_source(REPOSITORY, home)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"config.json", "model.safetensors.index.json", "modules.json", *shards, "pool/config.json"}


REPOSITORY_FILES = {
    "config.json": True, "generation_config.json": True, "model.safetensors": True,
    "model-00001-of-00002.safetensors": True, "model.safetensors.index.json": True,
    "tokenizer.json": True, "tokenizer_config.json": True, "special_tokens_map.json": True, "added_tokens.json": True,
    "tokenizer.model": True, "vocab.json": True, "merges.txt": True, "vocab.txt": True,
    "chat_template.jinja": True, "chat_template.json": True,
    "modules.json": True, "1_Pooling/config.json": True, "2_Dense/config.json": True,
    "sentence_bert_config.json": True, "config_sentence_transformers.json": True, "recipe.json": True,
    "adapter_config.json": True,
    "model.fp16.safetensors": False, "model.fp16-00001-of-00002.safetensors": False,
    "consolidated.safetensors": False, "original/consolidated.00.pth": False, "original/params.json": False,
    "original/tokenizer.model": False, "onnx/model.onnx": False, "onnx/config.json": False,
    "2_Dense/model.safetensors": False,
    "pytorch_model.bin": False, "modeling_custom.py": False, "adapter_model.safetensors": False, "README.md": False,
    "tiny.Q8_0.gguf": False,
}  # fmt: skip


def test_what_is_fetched_of_a_repository() -> None:
    wanted = {name for name, fetched in REPOSITORY_FILES.items() if fetched}
    assert set(filter_repo_objects(REPOSITORY_FILES, allow_patterns=FETCHED)) == wanted
