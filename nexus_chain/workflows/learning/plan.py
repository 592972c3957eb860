"""What a distillation is to do, and where its things lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nexus_chain.distillation.curriculum.course import DEFAULT_GENERATORS
from nexus_chain.distillation.curriculum.problems import GeneratorSettings
from nexus_chain.distillation.distiller.request import VerificationMode
from nexus_chain.distillation.lora.trainer import NEEDED_EXAMPLES
from nexus_chain.distillation.memory.example import TRAINING_CONFIDENCE


@dataclass(frozen=True)
class TrainingChoices:
    """Of ``TrainingConfig``, what a run chooses."""

    epochs: int = 3
    batch: int = 8
    learning_rate: float = 3e-4
    rank: int = 8
    alpha: int = 16


@dataclass(frozen=True)
class DistillationPlan:
    """What is learned, by whom, and what it becomes.

    ``parent``: the registered version that learns (the beginning of its id). ``checkpoint``: its float checkpoint, a
    folder or a GGUF file. ``name``, ``version``: of the child. ``training``, ``held_out``: problems of each kind.
    ``answer_tokens``: of an answer that is evaluated. ``fewest``: examples without which nothing is trained.
    ``confidence``: examples below it are not trained on. ``shards``: TensorBlocks of the child for nodes.
    """

    parent: str
    checkpoint: Path
    name: str
    version: str
    training: int = 1_500
    held_out: int = 300
    seed: int = 1
    generators: tuple[GeneratorSettings, ...] = DEFAULT_GENERATORS
    mode: VerificationMode = VerificationMode.FORMAL
    answer_tokens: int = 12
    fewest: int = NEEDED_EXAMPLES
    confidence: float = TRAINING_CONFIDENCE
    choices: TrainingChoices = field(default_factory=TrainingChoices)
    price: int = 0
    shards: int = 0


@dataclass(frozen=True)
class RunFolder:
    """A run's folder. What lies in it lets an interrupted run go on: nobody is asked, and nothing trained, twice."""

    root: Path

    @property
    def plan(self) -> Path:
        """The choices of the run that the folder belongs to."""
        return self.root / "plan.json"

    @property
    def models(self) -> Path:
        """Which model each source was, whenever it was asked."""
        return self.root / "models.json"

    @property
    def journal(self) -> Path:
        """What was asked and answered, and what the judge said."""
        return self.root / "journal.sqlite"

    @property
    def record(self) -> Path:
        """How often each source was right."""
        return self.root / "sources.sqlite"

    @property
    def memory(self) -> Path:
        return self.root / "memory.sqlite"

    @property
    def base(self) -> Path:
        """The parent's checkpoint in floats, where it was a GGUF file."""
        return self.root / "base"

    @property
    def dataset(self) -> Path:
        """What is trained on, as chat lines."""
        return self.root / "dataset.jsonl"

    @property
    def trainings(self) -> Path:
        return self.root / "training"

    @property
    def scores(self) -> Path:
        """What the parent's integer program made of the evaluation set."""
        return self.root / "scores"

    def merged(self, adapter: str) -> Path:
        """The child's checkpoint, by its adapter's SHA-256."""
        return self.root / "merged" / adapter[:16]

    def child(self, adapter: str) -> Path:
        """The child's integer program, by its adapter's SHA-256."""
        return self.root / "child" / adapter[:16]

    @property
    def records(self) -> Path:
        """What is published with the certificate."""
        return self.root / "distillation"
