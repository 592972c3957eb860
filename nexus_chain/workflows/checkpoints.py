"""Which folder a named checkpoint is in: a local one, or one fetched from the Hugging Face hub; what a GGUF file holds.

A GGUF file is written out as a checkpoint's folder in the home, with 4 bytes a weight (2 where they are in 16 bits).
That folder goes away when the task that needs it ends; a fetched GGUF file stays. A recipe beside it is the import's.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from nexus_chain.client.home import ClientHome
from nexus_chain.json_text import parse_json
from nexus_chain.program.checkpoint import INDEX_FILE, SINGLE_FILE
from nexus_chain.program.families.pooling import MODULES_FILE
from nexus_chain.program.file_names import ADAPTER_CONFIG_FILE, CONFIG_FILE
from nexus_chain.program.recipe import RECIPE_FILE
from nexus_chain.settings import expanded
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.workflows.observer import SILENT, TaskObserver

_HUB_ID = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)(?:[:/](?P<file>[\w./-]+))?")
#: Files of a repository that an import reads or that say how the model is used. Other weights than those that
#: ``transformers`` takes by default are left there: variants such as model.fp16.safetensors, the original's own format.
FETCHED = [
    SINGLE_FILE, INDEX_FILE, "model-*-of-*.safetensors",
    CONFIG_FILE, "generation_config.json", "tokenizer*.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.json", "chat_template.jinja", "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model",
    "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "[0-9]_*/config.json",
    ADAPTER_CONFIG_FILE, RECIPE_FILE,
]  # fmt: skip
GGUF = ".gguf"


@contextmanager
def opened_checkpoint(named: str, home: ClientHome, observer: TaskObserver = SILENT) -> Iterator[Path]:
    """The folder of the checkpoint ``named``: as :func:`checkpoint_source` finds it, or what its GGUF file holds.

    Raises what ``checkpoint_source`` and ``convert_gguf`` raise.
    """
    with _folder_of(checkpoint_source(named, home), home, observer) as folder:
        yield folder


@contextmanager
def opened_folder(path: Path, home: ClientHome, observer: TaskObserver = SILENT) -> Iterator[Path]:
    """Like :func:`opened_checkpoint`, of a place on this machine; one that is not there comes back as it is."""
    with _folder_of(_local(path) if path.exists() else path, home, observer) as folder:
        yield folder


@contextmanager
def _folder_of(source: Path, home: ClientHome, observer: TaskObserver) -> Iterator[Path]:
    if not source.is_file():
        yield source
        return
    from nexus_chain.program.gguf_import import convert_gguf  # takes a while to import

    with tempfile.TemporaryDirectory(prefix=".gguf-", dir=home.prepare().root) as work:
        folder = Path(work) / source.stem
        observer.note(f"Reading {source.name} as floats, into {work} while they are needed")
        convert_gguf(source, folder)
        if (recipe := source.with_name(RECIPE_FILE)).is_file():
            shutil.copyfile(recipe, folder / RECIPE_FILE)
        yield folder


def checkpoint_source(named: str, home: ClientHome) -> Path:
    """The local folder or GGUF file ``named``, or else what the hub has under that id, fetched into the home.

    A folder without weights of its own stands for the only GGUF file in it. ``named`` may name a file of the hub:
    org/name/FILE.gguf or org/name:FILE. Raises ModelFilesError where there is nothing, or more than one file to choose.
    """
    path = expanded(named)
    if path.exists():
        return _local(path)
    hub = _HUB_ID.fullmatch(named)
    if not hub:
        raise ModelFilesError(
            f"there is no folder or file {named}",
            advice="Give the folder of a Hugging Face checkpoint, a GGUF file, or a hub's id, such as org/name.",
        )
    folder = home.prepare().checkpoints / hub["repository"].replace("/", "--")
    return _fetch_file(hub["repository"], hub["file"], folder) if hub["file"] else _fetch(hub["repository"], folder)


def _local(path: Path) -> Path:
    if path.is_file():
        if path.suffix != GGUF:
            raise ModelFilesError(f"{path} is no GGUF file", advice="Give the folder of a checkpoint, or a GGUF file.")
        return path
    if _holds_weights(path):
        return path
    files = sorted(file.name for file in path.iterdir() if _is_model(file.name))
    return path / _only(files, str(path), f"{path}/{{}}") if files else path


def _only(files: list[str], where: str, spelling: str) -> str:
    """The only one of some GGUF files. Raises ModelFilesError, which lists them, where there are more."""
    if len(files) > 1:
        raise ModelFilesError(
            f"{where} holds {len(files)} GGUF files: {', '.join(files)}",
            advice=f"Name one of them: {spelling.format(files[0])}",
        )
    return files[0]


def _holds_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (SINGLE_FILE, INDEX_FILE))


def _is_model(name: str) -> bool:
    """Whether a file is a GGUF file of a network, not of what projects images into one."""
    return name.endswith(GGUF) and not Path(name).name.startswith("mmproj")


def _fetch(repository: str, folder: Path) -> Path:
    """Everything of a repository that an import reads; of one with GGUF files only, its only one.

    Shards and modules of unusual names are those that the files fetched first name.
    """
    from huggingface_hub import list_repo_files, snapshot_download  # takes a second to import

    try:
        snapshot_download(repository, local_dir=folder, allow_patterns=FETCHED)
        if named := named_files(folder):
            snapshot_download(repository, local_dir=folder, allow_patterns=[escape(name) for name in named])
        if _holds_weights(folder):
            return folder
        files = sorted(name for name in list_repo_files(repository) if _is_model(name))
    except (OSError, ValueError, RuntimeError) as error:  # no connection, no such repository, gated, disk full
        raise _not_fetched(repository, error) from error
    if not files:
        return folder
    return _fetch_file(repository, _only(files, f"{repository} on the hub", f"{repository}/{{}}"), folder)


def named_files(folder: Path) -> list[str]:
    """Files that a fetched index of weights or list of modules names and that have other names than usual."""
    index, modules = _json(folder / INDEX_FILE), _json(folder / MODULES_FILE)
    sharded = isinstance(index, dict) and not (folder / SINGLE_FILE).exists()
    shards = index.get("weight_map") if sharded else None
    named = {str(shard) for shard in shards.values()} if isinstance(shards, dict) else set[str]()
    if isinstance(modules, list):
        paths = (str(module.get("path") or "") for module in modules if isinstance(module, dict))
        named |= {f"{path}/config.json" for path in paths if path}
    return sorted(name for name in named if not (folder / name).exists())


def _json(path: Path) -> Any:
    """What a file holds; None where there is none, or no JSON: whoever reads it says so."""
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _fetch_file(repository: str, name: str, folder: Path) -> Path:
    from huggingface_hub import hf_hub_download  # takes a second to import

    if not _is_model(name):
        raise ModelFilesError(
            f"{name} of {repository} is no GGUF file", advice=f"Name one, such as {repository}/FILE{GGUF}."
        )
    try:
        return Path(hf_hub_download(repository, name, local_dir=folder))
    except (OSError, ValueError, RuntimeError) as error:
        raise _not_fetched(f"{repository}/{name}", error) from error


def _not_fetched(what: str, error: Exception) -> ModelFilesError:
    return ModelFilesError(
        f"{what} is not on this machine and could not be fetched from the Hugging Face hub ({_first_line(error)})",
        advice="Check the name and the connection (and that HF_HUB_OFFLINE is not set), or give a local folder.",
    )


def _first_line(error: Exception) -> str:
    """What the hub's client says, in short."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
