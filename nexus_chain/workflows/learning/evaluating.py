"""Third stage: what the integer programs of parent and child make of problems that nobody trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from nexus_chain.certificates.distillation_certificate import LAST_NUMBER, CertifiedScore
from nexus_chain.certificates.distillation_evaluation import Evaluator, score_of
from nexus_chain.certificates.distillation_records import ProblemRecord
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.content.canonical import canonical_bytes, read_canonical
from nexus_chain.content.record_lines import RecordLines
from nexus_chain.distillation.curriculum.problems import Problem
from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel
from nexus_chain.program.file_names import TOKENIZER_FILE
from nexus_chain.staging import write_whole
from nexus_chain.versions.text_codec import TextCodec
from nexus_chain.workflows.observer import SILENT, TaskObserver
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class ProgramUnderTest:
    """An integer program and the tokenizer of its version. ``title``: for whoever watches."""

    model: IntegerModel
    tokenizer: Path
    title: str

    @classmethod
    def published(cls, workspace: Workspace, version: bytes) -> ProgramUnderTest:
        """A registered version whose files are on this machine. Raises ModelFilesError."""
        files = workspace.library.files_of(version)
        model = files.model(workspace.library.record_of(version))
        return cls(model, files.folder / TOKENIZER_FILE, "the parent")


def problem_records(problems: Sequence[Problem]) -> tuple[ProblemRecord, ...]:
    """The evaluation set as certificates keep it."""
    return tuple(ProblemRecord(one.prompt, one.answer) for one in problems)


def evaluate(
    program: ProgramUnderTest,
    problems: Sequence[ProblemRecord],
    max_tokens: int,
    kept: Path,
    observer: TaskObserver = SILENT,
) -> CertifiedScore:
    """The program's score on ``problems``, measured once and kept in the folder ``kept``.

    ``max_tokens``: of an answer. Raises EvaluationSetError and OSError.
    """
    path = kept / f"{_identity(program, problems, max_tokens)}.json"
    if path.is_file():
        return read_canonical(CertifiedScore, path.read_bytes(), path.name)
    codec = TextCodec(program.tokenizer)
    evaluator = Evaluator(Engine(program.model.program, program.model.weights), codec, max_tokens, LAST_NUMBER)
    results = []
    with observer.stage(f"Evaluating {program.title}") as advance:
        for result in evaluator.results(problems):
            results.append(result)
            advance(len(results), len(problems))
    score = score_of(results)
    kept.mkdir(parents=True, exist_ok=True)
    write_whole(path, canonical_bytes(score).decode())
    return score


def _identity(program: ProgramUnderTest, problems: Sequence[ProblemRecord], max_tokens: int) -> str:
    """What a score depends on."""
    roots, lines = ModelCommitment.of(program.model), RecordLines.of(tuple(problems))
    parts = (roots.weights_root.hex(), roots.program_root.hex(), lines.root, str(max_tokens))
    return sha256(" ".join(parts).encode()).hexdigest()[:32]
