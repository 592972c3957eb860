"""``nexus model draft-table``: what a model usually says, distilled from its own answers for faster ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.output import emit_json, note, progress, result
from node.cli.settings import JsonFlag

if TYPE_CHECKING:
    from nexus_chain.drafting.draft_table import DraftTable


def draft_table(
    folder: Annotated[Path, typer.Argument(help="Folder of an integer model.")],
    text: Annotated[
        list[Path] | None,
        typer.Option(help="Text like what the model will be asked, UTF-8; may be repeated [default: docstrings]."),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of answers to distil, fewer if the text ends [default: 1600000].")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the engine [default: all cores].")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write it [default: FOLDER/drafts.safetensors].")] = None,
    json: JsonFlag = False,
) -> None:
    """Let the model go on from pieces of a text and keep what it says most; `nexus ask` drafts from that.

    Answers stay the same and take fewer rounds. Beside the checkpoint, the table is imported and published with it.
    """
    from nexus_chain.drafting.table_making import ANSWER_TOKENS, distil
    from nexus_chain.engine.fast import Engine
    from nexus_chain.program import IntegerModel
    from nexus_chain.program.checkpoint import DRAFTS_FILE
    from nexus_chain.quality.calibration import documentation
    from nexus_chain.versions.model_files import ModelFiles

    model, files, target = IntegerModel.load(folder), ModelFiles(folder), out or folder / DRAFTS_FILE
    files.require(encoder=False)
    texts = [files.codec.encode(piece) for piece in (_read(text) if text else documentation())]
    with progress("Distilling", quiet=json) as advance:
        table, answered = distil(
            Engine(model.program, model.weights, threads=threads), texts, tokens or ANSWER_TOKENS, advance
        )
    keep(table, target, files.tokenizer_hash)
    if json:
        size = target.stat().st_size
        emit_json({"file": str(target), "entries": len(table), "bytes": size, "tokens": answered})
        return
    result(str(target))
    note(f"{len(table)} contexts from {answered} tokens of the model's own answers.")


def keep(table: DraftTable, target: Path, tokenizer_hash: bytes) -> None:
    """Write a table to ``target`` whole or not at all. Raises DraftTableError."""
    from nexus_chain.drafting.errors import DraftTableError
    from nexus_chain.staging import staged

    try:
        with staged(target.parent) as part:
            table.write(part / target.name, tokenizer_hash)
    except OSError as error:
        raise DraftTableError(
            f"{target} cannot be written ({error})", advice="Make room on the disk, or give another place with --out."
        ) from error


def _read(paths: Iterable[Path]) -> list[str]:
    """The text of each file. Raises DraftTableError."""
    from nexus_chain.drafting.errors import DraftTableError

    texts = []
    for path in paths:
        try:
            texts.append(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise DraftTableError(
                f"{path} cannot be read as text ({error})", advice="Give a UTF-8 text file."
            ) from error
    return texts
