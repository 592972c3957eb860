"""What is measured by letting a model run over texts: its draft table, and how often its experts are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nexus_chain.drafting.draft_table import DraftTable
from nexus_chain.drafting.errors import DraftTableError
from nexus_chain.drafting.table_making import ANSWER_TOKENS, distil
from nexus_chain.engine.engine import CHUNK_ROWS, Engine
from nexus_chain.planning.demand import Load
from nexus_chain.planning.errors import PlanInputError
from nexus_chain.planning.expert_uses import count_expert_uses
from nexus_chain.planning.profiles import write_histogram
from nexus_chain.program import IntegerModel
from nexus_chain.program.file_names import DRAFTS_FILE
from nexus_chain.quality.calibration import documentation
from nexus_chain.staging import staged
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.observer import SILENT, TaskObserver

USES_FILE = "expert-uses.json"


@dataclass(frozen=True)
class KeptDraftTable:
    """A draft table in its file, and how many tokens of answers it was made from."""

    file: Path
    table: DraftTable
    tokens: int


@dataclass(frozen=True)
class CountedUses:
    """Uses of each expert by layer, in their file; over ``tokens`` tokens in windows of ``window`` positions."""

    file: Path
    uses: dict[int, list[int]]
    tokens: int
    window: int


def make_draft_table(
    folder: Path,
    texts: Sequence[Path] | None = None,
    *,
    tokens: int | None = None,
    threads: int | None = None,
    out: Path | None = None,
    observer: TaskObserver = SILENT,
) -> KeptDraftTable:
    """Distil the integer model in ``folder``: what it says most after pieces of the text files ``texts``.

    ``texts`` None: documentation. ``tokens``: of answers, fewer where the texts end. ``out``: the file, by default
    the one in ``folder`` that asking looks for. Raises ProgramFormatError, ModelFilesError and DraftTableError.
    """
    model, files, target = IntegerModel.load(folder), ModelFiles(folder), out or folder / DRAFTS_FILE
    files.require(encoder=False)
    read = [_read(path, DraftTableError) for path in texts] if texts else documentation()
    encoded = [files.codec.encode(text) for text in read]
    with observer.stage("Distilling") as advance:
        engine = Engine(model.program, model.weights, threads=threads)
        table, answered = distil(engine, encoded, tokens or ANSWER_TOKENS, advance)
    keep_draft_table(table, target, files.tokenizer_hash)
    return KeptDraftTable(target, table, answered)


def keep_draft_table(table: DraftTable, target: Path, tokenizer_hash: bytes) -> None:
    """Write a table to ``target`` whole or not at all. Raises DraftTableError."""
    try:
        with staged(target.parent) as part:
            table.write(part / target.name, tokenizer_hash)
    except OSError as error:
        raise DraftTableError(
            f"{target} cannot be written ({error})", advice="Make room on the disk, or give another place with --out."
        ) from error


def count_uses(
    folder: Path, text: Path, *, positions: int = 0, out: Path | None = None, observer: TaskObserver = SILENT
) -> CountedUses:
    """How often the integer model in ``folder`` chooses each expert over the file ``text``.

    ``positions``: how many see each other, 0: all of the model's context, at most ``CHUNK_ROWS``. ``out``: the file,
    by default one in ``folder``. Raises PlanInputError.
    """
    model, target = IntegerModel.load(folder), out or folder / USES_FILE
    window = positions or min(CHUNK_ROWS, model.program.shape.context)
    Load(window).check(model.program)
    tokens = torch.tensor(ModelFiles(folder).codec.encode(_read(text, PlanInputError)), dtype=torch.int32)
    with observer.stage("Counting") as advance:
        uses = count_expert_uses(Engine(model.program, model.weights), tokens, window, advance)
    write_histogram(uses, target)
    return CountedUses(target, uses, len(tokens), window)


def _read(path: Path, refusal: type[DraftTableError] | type[PlanInputError]) -> str:
    """A file's text. Raises ``refusal``."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise refusal(f"{path} cannot be read as text ({error})", advice="Give a UTF-8 text file.") from error
