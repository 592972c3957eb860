"""Which folder a named checkpoint is in: a local one, or one fetched from the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from nexus_chain.client.home import ClientHome
from nexus_chain.versions.errors import ModelFilesError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FETCHED = ["*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*.json",
           "special_tokens_map.json", "recipe.json"]  # fmt: skip


def checkpoint_folder(named: str, home: ClientHome) -> Path:
    """The local folder ``named``, or else the hub's repository of that id, fetched into the home.

    Raises ModelFilesError where there is neither.
    """
    folder = Path(named).expanduser()
    if folder.exists():
        return folder
    if not _HUB_ID.fullmatch(named):
        raise ModelFilesError(
            f"there is no folder {named}",
            advice="Give the folder of a Hugging Face checkpoint, or the hub's id of one, such as org/name.",
        )
    return _fetch(named, home.prepare().checkpoints / named.replace("/", "--"))


def _fetch(repository: str, folder: Path) -> Path:
    from huggingface_hub import snapshot_download  # takes a second to import

    try:
        snapshot_download(repository, local_dir=folder, allow_patterns=FETCHED)
    except (OSError, ValueError, RuntimeError) as error:  # no connection, no such repository, gated, disk full
        raise ModelFilesError(
            f"{repository} is no folder here and could not be fetched from the Hugging Face hub ({_first_line(error)})",
            advice="Check the name and the connection (and that HF_HUB_OFFLINE is not set), or give a local folder.",
        ) from error
    return folder


def _first_line(error: Exception) -> str:
    """What the hub's client says, in short."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
