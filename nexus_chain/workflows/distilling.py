"""What a user's settings lead to when the network learns: teachers, local models, judge, journal and memory.

Everything is kept in ``distillation`` below the home; the teachers are described in ``teachers.toml`` there.
Clients and solvers are imported when somebody is asked: who looks at the memory needs none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nexus_chain.distillation.distiller.adapters import LocalSource, TeacherSource
from nexus_chain.distillation.distiller.agreement import Agreement
from nexus_chain.distillation.distiller.distillation_journal import DistillationJournal
from nexus_chain.distillation.distiller.distiller import AutonomousDistiller
from nexus_chain.distillation.distiller.options import BatchProgress, DistillationOptions
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.result import DistillationResult
from nexus_chain.distillation.distiller.source import AnswerSource
from nexus_chain.distillation.distiller.source_record import SourceRecord
from nexus_chain.distillation.memory.database import STORAGE_VARIABLE
from nexus_chain.distillation.memory.example import VerifiedExample
from nexus_chain.distillation.memory.persistence import CognitivePersistence
from nexus_chain.distillation.secret import Secret
from nexus_chain.settings import Settings
from nexus_chain.workflows.errors import WorkflowError
from nexus_chain.workflows.observer import SILENT, TaskObserver

if TYPE_CHECKING:
    from nexus_chain.distillation.local.engine import LocalEngine
    from nexus_chain.distillation.local.models import LocalInferenceResponse

_FOLDER = "distillation"
KEY_VARIABLE = "OLLAMA_API_KEY"
"""Where the key for an Ollama server stands that wants one, such as a gateway of this project."""


@dataclass(frozen=True)
class SourceChoice:
    """``local_models``: as the Ollama server names them. ``ollama_host``: None: OLLAMA_HOST, else this machine.

    ``teachers_file``: None: ``teachers.toml`` in the home's folder, where there is one.
    ``temperature`` and ``max_tokens``: of local models.
    """

    local_models: tuple[str, ...] = ()
    ollama_host: str | None = None
    teachers_file: Path | None = None
    temperature: float = 0.0
    max_tokens: int = 1024


@dataclass(frozen=True)
class DescribedSource:
    """A source, and the ``model`` that answers there, as its provider calls it."""

    source: AnswerSource
    model: str


def distillation_folder(settings: Settings) -> Path:
    """Where teachers are described, and where journal, record and memory are kept."""
    return settings.home / _FOLDER


@contextmanager
def open_distiller(
    settings: Settings,
    choice: SourceChoice,
    options: DistillationOptions | None = None,
    agreement: Agreement | None = None,
) -> Iterator[tuple[AutonomousDistiller, DistillationJournal]]:
    """A distiller over the chosen sources, and its journal. Raises WorkflowError where nobody can be asked.

    ``agreement``: how answers are compared; None: by the same final answer.
    """
    from nexus_chain.distillation.judge.judge import Judge

    folder = distillation_folder(settings)
    with ExitStack() as opened:
        sources = [one.source for one in opened.enter_context(open_sources(settings, choice))]
        record = SourceRecord(folder / "sources.sqlite")
        opened.callback(record.close)
        journal = opened.enter_context(DistillationJournal(folder / "journal.sqlite"))
        judge = opened.enter_context(Judge())
        distiller = AutonomousDistiller(sources, judge, record, journal, agreement=agreement, options=options)
        yield opened.enter_context(distiller), journal


@contextmanager
def open_sources(settings: Settings, choice: SourceChoice) -> Iterator[list[DescribedSource]]:
    """The chosen teachers and local models. Raises WorkflowError where nobody can be asked, TeacherConfigError."""
    folder = distillation_folder(settings)
    with ExitStack() as opened:
        sources = [*_teachers(folder, choice, opened), *_local_models(choice, opened)]
        if not sources:
            raise WorkflowError(
                "nobody can be asked",
                advice=f"Name a local model, or describe teachers in {folder / 'teachers.toml'}.",
            )
        yield sources


def open_memory(settings: Settings) -> CognitivePersistence:
    """The memory that NEXUS_DISTILLATION_MEMORY names, else the one in the home. The caller closes it."""
    return CognitivePersistence(os.environ.get(STORAGE_VARIABLE) or distillation_folder(settings) / "memory.sqlite")


def distill_into(
    memory: CognitivePersistence,
    distiller: AutonomousDistiller,
    requests: Sequence[DistillationRequest],
    observer: TaskObserver = SILENT,
) -> list[DistillationResult]:
    """Distill a batch; each proved answer is in the memory before the next is decided.

    Killed, it goes on where it was: nobody is asked twice, and the memory keeps an example once. Raises as
    ``distill_batch``, and PersistenceError.
    """
    with observer.stage("Distilling") as advance:

        def keep(progress: BatchProgress) -> None:
            remember(memory, requests[progress.done - 1], progress.result)
            advance(progress.done, progress.total)

        return distiller.distill_batch(requests, keep)


def remember(memory: CognitivePersistence, request: DistillationRequest, result: DistillationResult) -> bool:
    """Keep a proved answer; False where nothing is proved, or the memory has it."""
    example = proved_example(request, result)
    return example is not None and memory.save_example(example)


def proved_example(request: DistillationRequest, result: DistillationResult) -> VerifiedExample | None:
    """The example that a proved answer makes; None for any other result: nobody learns from what was not proved."""
    if result.best_response is None or result.best_source is None or result.verification_proof is None:
        return None
    return VerifiedExample.of(
        request.prompt,
        result.best_response,
        source=result.best_source,
        confidence=result.confidence,
        category=request.category,
        verification_proof=result.verification_proof,
        timestamp=result.timestamp,
    )


def _teachers(folder: Path, choice: SourceChoice, opened: ExitStack) -> list[DescribedSource]:
    """Raises TeacherConfigError, SecretError."""
    from nexus_chain.distillation.teachers.config_file import read_teachers_file
    from nexus_chain.distillation.teachers.teacher_apis import TeacherAPIs

    file = choice.teachers_file or folder / "teachers.toml"
    if choice.teachers_file is None and not file.exists():
        return []
    found = read_teachers_file(file)
    if not found.configs:
        return []
    desk = opened.enter_context(TeacherAPIs(found.configs, budget_usd=found.budget_usd, state_file=found.state_file))
    return [
        DescribedSource(
            TeacherSource(desk, config.name, _server_of(config.endpoint), is_free=config.free), config.model
        )
        for config in found.configs
    ]


def _server_of(endpoint: str) -> str:
    """Who runs it, as far as an address tells: two teachers of one server have one voice, however it is spelt."""
    parts = urlsplit(endpoint)
    host = str(parts.hostname).lower().rstrip(".")
    usual = {"http": 80, "https": 443}.get(parts.scheme.lower())
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def _local_models(choice: SourceChoice, opened: ExitStack) -> list[DescribedSource]:
    """Each model has a voice of its own: they are the user's, and nobody's names for one liar."""
    if not choice.local_models:
        return []
    from nexus_chain.distillation.local.engine import LocalEngine

    key = Secret.from_environment(KEY_VARIABLE) if os.environ.get(KEY_VARIABLE) else None
    engine = LocalEngine(choice.ollama_host, api_key=key)
    opened.callback(engine.close)
    return [
        DescribedSource(LocalSource(model, partial(_generate, engine, choice, model), provider=f"local {model}"), model)
        for model in choice.local_models
    ]


def _generate(engine: LocalEngine, choice: SourceChoice, model: str, prompt: str) -> LocalInferenceResponse:
    from nexus_chain.distillation.local.models import LocalInferenceRequest

    return engine.generate(LocalInferenceRequest(prompt, model, choice.temperature, choice.max_tokens))
