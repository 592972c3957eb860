"""Training as the design names it: enough examples, a new version, its measure, and whether it comes into use."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from nexus_chain.distillation.lora.accuracy import NEEDED_RISE, MeasuredAccuracy, is_better
from nexus_chain.distillation.lora.adapter import BASE_FILE, apply_adapter, require_adapter
from nexus_chain.distillation.lora.base_model import base_sha256, load_base
from nexus_chain.distillation.lora.chat_examples import ChatExample, read_examples
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.cpu_class import cpu_class
from nexus_chain.distillation.lora.errors import (
    LearnedVersionError,
    NotBetterError,
    NotEnoughExamplesError,
    OtherBaseError,
    TrainingStorageError,
)
from nexus_chain.distillation.lora.greedy_answers import measure_greedy
from nexus_chain.distillation.lora.merging import merge_adapter
from nexus_chain.distillation.lora.metrics import TrainingMetrics
from nexus_chain.distillation.lora.overlap import require_disjoint
from nexus_chain.distillation.lora.registry import VersionRegistry
from nexus_chain.distillation.lora.supervised_training import TrainingProgress, run_supervised
from nexus_chain.distillation.lora.training_job import RESULT_FOLDER, TrainingJob
from nexus_chain.distillation.lora.training_process import METRICS_JSON
from nexus_chain.distillation.lora.version import BASE_VERSION, LearnedVersion
from nexus_chain.json_text import parse_json
from nexus_chain.staging import write_whole

NEEDED_EXAMPLES = 1000
NEEDED_CONFIDENCE = 0.8
MEASURED_TOKENS = 24
_HELD_OUT_FILE = "held_out.jsonl"


class CountedExamples(Protocol):
    """What the memory says of its examples."""

    @property
    def total_count(self) -> int:
        """How many there are."""


class ExampleMemory(Protocol):
    """The part of the memory that a trainer needs."""

    def get_dataset(self, min_confidence: float = NEEDED_CONFIDENCE) -> CountedExamples:
        """The examples of at least that confidence (0 to 1)."""


@dataclass(frozen=True)
class HeldOutProblem:
    """A prompt that is never trained on, a reference answer, and the exact check of any answer."""

    prompt: str
    answer: str
    is_right: Callable[[str], bool]


class LoRATrainer:
    """Trains adapters in ``folder``, where its versions are kept, and measures them on ``held_out``.

    ``persistence``: the memory of verified examples. ``on_progress`` hears of each step and epoch. Every method
    raises LoraError; a full disk is a TrainingStorageError.
    """

    def __init__(
        self,
        folder: Path,
        persistence: ExampleMemory,
        held_out: Sequence[HeldOutProblem],
        on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self.persistence = persistence
        self.held_out = tuple(held_out)
        self.registry = VersionRegistry(folder)
        self.on_progress = on_progress

    @property
    def model_versions(self) -> tuple[LearnedVersion, ...]:
        """Every version so far, the base model among them once it is measured."""
        return self.registry.state().versions

    @property
    def training_history(self) -> tuple[TrainingMetrics, ...]:
        """The metrics of all trainings, in order."""
        return tuple(one for version in self.model_versions for one in version.metrics)

    def should_train(self) -> bool:
        """Whether the memory holds 1 000 examples of confidence 0.8 or more."""
        return self.persistence.get_dataset(min_confidence=NEEDED_CONFIDENCE).total_count >= NEEDED_EXAMPLES

    def train(
        self, config: TrainingConfig, *, fewest: int = NEEDED_EXAMPLES, changes: Mapping[str, str] | None = None
    ) -> LearnedVersion:
        """A new version, not measured yet; the same call again returns it, and goes on where one was interrupted.

        ``fewest``: examples below which it refuses; ``changes``: of the process's environment. Raises LoraError.
        """
        base = Path(config.model_name)
        examples, sha256 = read_examples(Path(config.dataset_path))
        if len(examples) < fewest:
            raise NotEnoughExamplesError(
                f"there are {len(examples)} examples, a training takes {fewest}", advice="Collect more first."
            )
        require_disjoint([one.prompt for one in examples], [one.prompt for one in self.held_out])
        try:
            held_out, held_out_sha256 = self._write_held_out()
            job = TrainingJob(config, str(base), base_sha256(base), sha256, str(held_out), held_out_sha256)
            folder = self.folder / "trainings" / job.identity[:16]
            for known in self.model_versions:
                if known.model_path == str(folder / RESULT_FOLDER):
                    require_adapter(Path(known.model_path), known.base_sha256)
                    return known
            result = run_supervised(job, folder, self.on_progress, changes=changes)
            return self.registry.add(self._version(job, result, examples))
        except OSError as cause:
            raise TrainingStorageError(
                f"{cause.filename or self.folder} cannot be written ({cause.strerror or cause})",
                advice="Make room and start the training again: it goes on from its last checkpoint.",
            ) from cause

    def measure_base(self, base: Path) -> MeasuredAccuracy:
        """Accuracy of the base model itself, which becomes version 0 and is what a first version has to beat."""
        sha256 = base_sha256(base)
        known = {one.version: one for one in self.model_versions}
        version = known.get(BASE_VERSION)
        if version is None:
            fresh = LearnedVersion(BASE_VERSION, str(base), time.time(), 0, 0.0, "", sha256)
            version = self.registry.add(fresh)
        elif version.base_sha256 != sha256:
            raise OtherBaseError(
                f"the versions in {self.folder} have another base model than {base}",
                advice="Keep versions of another base model in another folder.",
            )
        return self._measure(version)

    def validate(self, model_version: LearnedVersion) -> MeasuredAccuracy:
        """Accuracy of a version's greedy answers to the held-out problems, with its 95 % interval; it is kept."""
        return self._measure(self.registry.get(model_version.version))

    def deploy(self, model_version: LearnedVersion) -> LearnedVersion:
        """Put a version to use if it is better than the one in use; returns it as it is kept.

        Better: its accuracy is higher by more than 5 points, and the lower end of its 95 % interval is above the
        accuracy of the version in use (the base model's, where none is). Raises NotBetterError, which says by how
        much it fails, and LearnedVersionError where one of both is not measured on the same problems.
        """
        state = self.registry.state()
        new = self.registry.get(model_version.version)
        if new.version == state.in_use:
            return new
        old = next((one for one in state.versions if one.version == state.in_use), None)
        if not new.measured or not old or not old.measured or new.held_out_sha256 != old.held_out_sha256:
            raise LearnedVersionError(
                f"versions {new.version} and {state.in_use} are not measured on the same problems",
                advice="Validate both first, the base model with measure_base.",
            )
        if not is_better(new.measured, old.measured):
            raise NotBetterError(
                f"version {new.version} answers {new.measured} right, version {old.version} {old.measured}: a rise of "
                f"more than {NEEDED_RISE:.0%} and an interval above the old accuracy are needed",
                advice="Keep the old version, and train on more examples.",
            )
        self.registry.set_deployed(new.version)
        return new

    def rollback(self, version: int) -> LearnedVersion:
        """Put an earlier version to use again, 0 being the base model; no measure is asked of it."""
        found = self.registry.get(version)
        self.registry.set_deployed(version)
        return found

    def get_best_version(self) -> LearnedVersion:
        """The measured version of the highest accuracy; of equals the earliest."""
        measured = [one for one in self.model_versions if one.measured is not None]
        if not measured:
            raise LearnedVersionError("no version is measured yet", advice="Validate one first.")
        return max(measured, key=lambda one: (one.validation_accuracy or 0.0, -one.version))

    def merge(self, version: int, folder: Path) -> Path:
        """Write the version's merged weights into ``folder``, a checkpoint that the importer reads."""
        found = self.registry.get(version)
        if not found.model_path:
            raise LearnedVersionError("version 0 is the base model itself", advice=f"Import {found.base_model}.")
        return merge_adapter(Path(found.base_model), Path(found.model_path), folder)

    def _measure(self, version: LearnedVersion) -> MeasuredAccuracy:
        model, tokenizer = load_base(Path(version.base_model))
        if version.model_path:
            model = apply_adapter(model, base_sha256(Path(version.base_model)), Path(version.model_path))
        prompts = [one.prompt for one in self.held_out]
        found = measure_greedy(
            model, tokenizer, prompts, lambda at, text: self.held_out[at].is_right(text), MEASURED_TOKENS
        )
        _, sha256 = self._write_held_out()
        self.registry.update(replace(version, measured=found, held_out_sha256=sha256))
        return found

    def _version(self, job: TrainingJob, result: Path, examples: Sequence[ChatExample]) -> LearnedVersion:
        confidences = [1.0 if one.confidence is None else one.confidence for one in examples]
        metrics = parse_json((result / METRICS_JSON).read_bytes())
        return LearnedVersion(
            version=-1,  # the registry numbers it
            base_model=job.base,
            training_date=time.time(),
            num_examples=len(examples),
            avg_confidence=sum(confidences) / len(confidences),
            model_path=str(result),
            base_sha256=job.base_sha256,
            adapter_sha256=parse_json((result / BASE_FILE).read_bytes())["adapter_sha256"],
            parent=self.registry.state().in_use,
            config=job.config,
            dataset_sha256=job.dataset_sha256,
            held_out_sha256=job.held_out_sha256,
            cpu_class=cpu_class(),
            metrics=tuple(TrainingMetrics(**one) for one in metrics),
        )

    def _write_held_out(self) -> tuple[Path, str]:
        path = self.folder / _HELD_OUT_FILE
        lines = [
            json.dumps({"messages": [_message("user", one.prompt), _message("assistant", one.answer)]})
            for one in self.held_out
        ]
        text = "\n".join(lines) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_whole(path, text)
        return path, read_examples(path)[1]


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
