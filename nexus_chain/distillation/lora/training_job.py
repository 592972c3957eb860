"""One training, written down so that a process of its own can run it, and go on with it after it was killed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.cpu_class import cpu_class
from nexus_chain.distillation.lora.errors import TrainingConfigError
from nexus_chain.json_text import parse_json
from nexus_chain.staging import write_whole

JOB_FILE = "job.json"
STATE_FILE = "state.pt"
TRAINING_LIBRARIES = ("peft", "safetensors", "tokenizers", "torch", "transformers")
RESULT_FOLDER = "result"


def library_versions() -> dict[str, str]:
    """Of the libraries that an adapter's bits may depend on, as they are installed here."""
    return {name: version(name) for name in TRAINING_LIBRARIES}


@dataclass(frozen=True)
class TrainingJob:
    """``base`` is the base model's folder, ``held_out`` chat JSONL that is measured after each epoch.

    The SHA-256 fix what the paths hold: ``identity`` depends on them and on the choices, not on the paths. It depends
    on this machine's class of processor and its libraries too: where they changed, a checkpoint is not gone on from.
    """

    config: TrainingConfig
    base: str
    base_sha256: str
    dataset_sha256: str
    held_out: str
    held_out_sha256: str

    @property
    def identity(self) -> str:
        """SHA-256 in hex over everything that the adapter depends on."""
        choices = self.config.to_json()
        for name in ("model_name", "dataset_path", "checkpoint_steps"):
            del choices[name]
        content = [
            choices,
            self.base_sha256,
            self.dataset_sha256,
            self.held_out_sha256,
            cpu_class(),
            library_versions(),
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def write(self, folder: Path) -> Path:
        """Write the job into its folder; returns the file. Raises OSError."""
        path = folder / JOB_FILE
        write_whole(path, json.dumps({**asdict(self), "config": self.config.to_json()}, indent=1) + "\n")
        return path

    @classmethod
    def read(cls, path: Path) -> TrainingJob:
        """The job of a file. Raises TrainingConfigError."""
        try:
            document: Mapping[str, Any] = parse_json(path.read_bytes())
            return cls(**{**document, "config": TrainingConfig.from_json(document["config"])})
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise TrainingConfigError(f"{path} holds no training ({cause})", advice="Start it again.") from cause
