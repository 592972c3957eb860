"""``nexus model expert-uses``: how often a text makes each expert of a mixture be chosen, for ``nexus model plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.output import Shown, emit_json, note, table
from node.cli.settings import JsonFlag

SHOWN = 4  # experts of a layer in the table


def expert_uses(
    folder: Annotated[Path, typer.Argument(help="Folder of an integer model.")],
    text: Annotated[Path, typer.Argument(help="Text like what the model will be asked, UTF-8.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write the histogram [default: FOLDER/expert-uses.json].")
    ] = None,
    positions: Annotated[
        int, typer.Option("--context", min=0, help="Positions that see each other [default: all, at most 512].")
    ] = 0,
    json: JsonFlag = False,
) -> None:
    """Count how often each expert is chosen over a text; `nexus model plan --expert-uses` places experts by it."""
    from nexus_chain.workflows.tables import count_uses

    counted = count_uses(folder, text, positions=positions, out=out, observer=Shown(quiet=json))
    if json:
        facts = {"file": str(counted.file), "tokens": counted.tokens, "context": counted.window}
        emit_json({**facts, "uses": counted.uses})
        return
    table("Expert uses", ("layer", "most used"), [(layer, _most_used(row)) for layer, row in counted.uses.items()])
    note(f"{counted.tokens} tokens; plan with --expert-uses {counted.file}")


def _most_used(row: list[int]) -> str:
    ranked = sorted(range(len(row)), key=lambda expert: (-row[expert], expert))
    return ", ".join(f"{expert} ({row[expert] / sum(row):.1%})" for expert in ranked[:SHOWN])
