"""A dataset as the lines that trainers read: the JSON of a chat each, in the order of the examples' hashes.

So a dataset has one file, whenever and in whatever order its examples were saved. What a certificate states of a
dataset, and how one example is shown to be in it, is in ``nexus_chain.certificates``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nexus_chain.distillation.memory.errors import PersistenceError
from nexus_chain.distillation.memory.example import VerifiedExample
from nexus_chain.staging import write_whole


@dataclass(frozen=True)
class ExportedDataset:
    """A file of ``count`` chat lines; ``sha256`` of its bytes is hexadecimal."""

    path: Path
    count: int
    sha256: str


def chat_line(prompt: str, response: str) -> str:
    """One line without its line feed, as ``messages`` of a user and an assistant."""
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    return json.dumps({"messages": messages}, ensure_ascii=False, separators=(",", ":"))


def write_dataset(path: Path, examples: Iterable[VerifiedExample]) -> ExportedDataset:
    """Write examples, in the order of their hashes, as a file that appears whole or not at all.

    Raises PersistenceError.
    """
    lines = [chat_line(example.prompt, example.response) for example in examples]
    text = "".join(f"{line}\n" for line in lines)
    try:
        write_whole(path, text)
    except OSError as error:
        raise PersistenceError(
            f"the dataset {path} cannot be written ({error.strerror})", advice="Give a file that you may write."
        ) from error
    return ExportedDataset(path, len(lines), hashlib.sha256(text.encode()).hexdigest())
