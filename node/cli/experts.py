"""``nexus model expert-uses``: how often a text makes each expert of a mixture be chosen, for ``nexus model plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.output import emit_json, note, progress, table
from node.cli.settings import JsonFlag

USES_FILE = "expert-uses.json"
SHOWN = 4  # experts of a layer in the table


def expert_uses(
    folder: Annotated[Path, typer.Argument(help="Folder of an integer model.")],
    text: Annotated[Path, typer.Argument(help="Text like what the model will be asked, UTF-8.")],
    out: Annotated[
        Path | None, typer.Option(help=f"Where to write the histogram [default: FOLDER/{USES_FILE}].")
    ] = None,
    positions: Annotated[
        int, typer.Option("--context", min=0, help="Positions that see each other [default: all, at most 512].")
    ] = 0,
    json: JsonFlag = False,
) -> None:
    """Count how often each expert is chosen over a text; `nexus model plan --expert-uses` places experts by it."""
    import torch

    from nexus_chain.engine.fast import CHUNK_ROWS, Engine
    from nexus_chain.planning.demand import Load
    from nexus_chain.planning.expert_uses import count_expert_uses
    from nexus_chain.planning.profiles import write_histogram
    from nexus_chain.program import IntegerModel
    from nexus_chain.versions.model_files import ModelFiles

    model, target = IntegerModel.load(folder), out or folder / USES_FILE
    window = positions or min(CHUNK_ROWS, model.program.shape.context)
    Load(window).check(model.program)
    tokens = torch.tensor(ModelFiles(folder).codec.encode(_read(text)), dtype=torch.int32)
    with progress("Counting", quiet=json) as advance:
        uses = count_expert_uses(Engine(model.program, model.weights), tokens, window, advance)
    write_histogram(uses, target)
    if json:
        emit_json({"file": str(target), "tokens": len(tokens), "context": window, "uses": uses})
        return
    table("Expert uses", ("layer", "most used"), [(layer, _most_used(row)) for layer, row in uses.items()])
    note(f"{len(tokens)} tokens; plan with --expert-uses {target}")


def _read(path: Path) -> str:
    from nexus_chain.planning.errors import PlanInputError

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanInputError(f"{path} cannot be read as text ({error})", advice="Give a UTF-8 text file.") from error


def _most_used(row: list[int]) -> str:
    ranked = sorted(range(len(row)), key=lambda expert: (-row[expert], expert))
    return ", ".join(f"{expert} ({row[expert] / sum(row):.1%})" for expert in ranked[:SHOWN])
