"""``nexus model``: from a Hugging Face checkpoint to a registered, certified, served model version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli import drafts as draft_commands
from node.cli import experts as expert_commands
from node.cli import publishing
from node.cli import shards as shard_commands
from node.cli.output import emit_json, hex_id, note, progress, result, spinner, table
from node.cli.publishing import GATE_PER_CENT, BeyondGateFlag, GateOption
from node.cli.settings import JsonFlag, settings_of

app = typer.Typer(help="Import, inspect, shard, plan and publish models.", no_args_is_help=True, rich_markup_mode=None)
app.command("inspect")(shard_commands.inspect)
app.command("verify")(shard_commands.verify)
app.command("plan")(shard_commands.plan)
app.command("expert-uses")(expert_commands.expert_uses)
app.command("draft-table")(draft_commands.draft_table)
app.command("publish")(publishing.publish)
app.command("pin")(publishing.pin)


@app.command("import")
def import_model(
    context: typer.Context,
    checkpoint: Annotated[str, typer.Argument(help="Folder of a Hugging Face checkpoint, or the hub's id of one.")],
    out: Annotated[Path | None, typer.Option(help="Where to write it [default: NEXUS_HOME/models/NAME].")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Text to measure on [default: the checkpoint's held-out sample, or docstrings].")
    ] = None,
    gate: GateOption = GATE_PER_CENT,
    beyond_gate: BeyondGateFlag = False,
    unmeasured: Annotated[
        bool, typer.Option("--unmeasured", help="Do not compare with float32, which needs 4 bytes a weight.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Turn a checkpoint into an integer model: program.json, weights.safetensors, recipe.json, tokenizer.json.

    Its perplexity is compared with that of float32; outliers are smoothed and rows widened until it is
    within the gate. Past the gate nothing is kept. A draft table in the checkpoint's folder comes along.
    """
    from nexus_chain.commitments.weights import ModelCommitment
    from node.cli.checkpoints import checkpoint_folder
    from node.cli.importing import Measuring, import_folder, import_measured

    settings = settings_of(context)
    source = checkpoint_folder(checkpoint, settings.home)
    folder = out or settings.home.models / source.resolve().name
    measuring = Measuring(gate / 100, calibration, beyond_gate, (lambda line: None) if json else note)
    with spinner(f"Importing {checkpoint}", quiet=json):
        imported = import_folder(source, folder) if unmeasured else import_measured(source, folder, measuring)
        commitment = ModelCommitment.of(imported.model)
    layers = imported.model.program.shape.layers
    if json:
        roots = {"weights_root": hex_id(commitment.weights_root), "program_root": hex_id(commitment.program_root)}
        emit_json({"folder": str(folder), "layers": layers, **roots, "quality": imported.quality})
        return
    result(str(folder))
    note(f"{layers} layers, weights root {hex_id(commitment.weights_root)}")
    note(_told(imported.quality))


@app.command("shard")
def shard(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of an integer model.")],
    shards: Annotated[int, typer.Option("--shards", min=1, help="Number of shards, balanced by bytes.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Where to write them [default: FOLDER/shards].")] = None,
    json: JsonFlag = False,
) -> None:
    """Cut an integer model into TensorBlocks, the files that nodes load."""
    from nexus_chain.commitments.tensor_block import write_tensor_block
    from nexus_chain.commitments.weights import ModelCommitment
    from nexus_chain.planning.shards import shard_model
    from nexus_chain.program import IntegerModel

    model, target = IntegerModel.load(folder), out or folder / "shards"
    parts, commitment = shard_model(model.program, shards), ModelCommitment.of(model)
    rows = []
    with progress("Writing shards", quiet=json) as advance:
        for number, part in enumerate(parts, 1):
            path = target / f"layers-{part.layer_start}-{part.layer_end}.safetensors"
            write_tensor_block(model, path, part.layer_start, part.layer_end, commitment)
            rows.append({"file": str(path), "layers": [part.layer_start, part.layer_end], "bytes": part.size_bytes})
            advance(number, len(parts))
    if json:
        emit_json({"shards": rows})
        return
    shown = [
        (f"{part.layer_start}-{part.layer_end}", f"{part.size_mb:.1f} MiB", row["file"])
        for part, row in zip(parts, rows, strict=True)
    ]
    table("Shards", ("layers", "size", "file"), shown)


def _told(quality: dict[str, float] | None) -> str:
    """What an import loses, in words."""
    if quality is None:
        return "Not compared with the float model."
    return (
        f"Perplexity {quality['perplexity_float32']:.4f} in float32, {quality['perplexity_integer']:.4f} in integers "
        f"({quality['relative_increase']:+.3%}); the same best token in {quality['top1_agreement']:.2%} of "
        f"{quality['tokens']} predictions."
    )
