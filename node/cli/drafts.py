"""``nexus model draft-table``: what a model usually says, distilled from its own answers for faster ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.output import Shown, emit_json, note, result
from node.cli.settings import JsonFlag


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
    from nexus_chain.workflows.tables import make_draft_table

    made = make_draft_table(folder, text, tokens=tokens, threads=threads, out=out, observer=Shown(quiet=json))
    if json:
        size = made.file.stat().st_size
        emit_json({"file": str(made.file), "entries": len(made.table), "bytes": size, "tokens": made.tokens})
        return
    result(str(made.file))
    note(f"{len(made.table)} contexts from {made.tokens} tokens of the model's own answers.")
