"""``nexus model``: from a Hugging Face checkpoint to a registered, certified, served model version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import catalogue as catalogue_commands
from node.cli import drafts as draft_commands
from node.cli import experts as expert_commands
from node.cli import model_forms, publisher_share, publishing
from node.cli import shards as shard_commands
from node.cli.output import Shown, emit_json, hex_id, note, result, table
from node.cli.publishing import GATE_PER_CENT, BeyondGateFlag, GateOption
from node.cli.settings import JsonFlag, settings_of

app = typer.Typer(help="Import, inspect, shard, plan and publish models.", no_args_is_help=True, rich_markup_mode=None)
app.command("catalogue")(catalogue_commands.list_catalogue)
app.command("fetch")(catalogue_commands.fetch)
app.command("inspect")(shard_commands.inspect)
app.command("verify")(shard_commands.verify)
app.command("plan")(shard_commands.plan)
app.command("expert-uses")(expert_commands.expert_uses)
app.command("draft-table")(draft_commands.draft_table)
app.command("publish")(publishing.publish)
app.command("share")(publisher_share.share)
app.command("sign")(model_forms.sign)
app.command("check-signature")(model_forms.check_signature)
app.command("bom")(model_forms.bom)
app.command("pin")(publishing.pin)


@app.command("import")
def import_model(
    context: typer.Context,
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="Folder of a Hugging Face checkpoint, GGUF file, the hub's id of one, or a name of the catalogue."
        ),
    ],
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

    It is compared with float32: outliers are smoothed and rows widened until the perplexity is within the gate. Then
    perplexity, best token and divergence are judged on other text. Past the gate nothing is kept. Tokenizer files
    and a draft table in the checkpoint's folder come along.
    """
    from nexus_chain.client.home import ClientHome
    from nexus_chain.workflows.importing import Measuring, import_named

    measuring = None if unmeasured else Measuring(gate / 100, calibration, beyond_gate)
    home = ClientHome(settings_of(context).home)
    found = import_named(checkpoint, home, out, measuring, Shown(quiet=json))
    layers, quality = found.imported.model.program.shape.layers, found.imported.quality
    weights_root, program_root = hex_id(found.commitment.weights_root), hex_id(found.commitment.program_root)
    if json:
        roots = {"weights_root": weights_root, "program_root": program_root}
        emit_json({"folder": str(found.folder), "layers": layers, **roots, "quality": quality})
        return
    result(str(found.folder))
    note(f"{layers} layers, weights root {weights_root}")
    note(_describe(quality))


@app.command("shard")
def shard(
    folder: Annotated[Path, typer.Argument(help="Folder of an integer model.")],
    shards: Annotated[int, typer.Option("--shards", min=1, help="Number of shards, balanced by bytes.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Where to write them [default: FOLDER/shards].")] = None,
    json: JsonFlag = False,
) -> None:
    """Cut an integer model into TensorBlocks, the files that nodes load."""
    from nexus_chain.workflows.sharding import write_shards

    written = write_shards(folder, shards, out, Shown(quiet=json))
    if json:
        rows = [
            {"file": str(one.file), "layers": [one.part.layer_start, one.part.layer_end], "bytes": one.part.size_bytes}
            for one in written
        ]
        emit_json({"shards": rows})
        return
    shown = [
        (f"{one.part.layer_start}-{one.part.layer_end}", f"{one.part.size_mb:.1f} MiB", str(one.file))
        for one in written
    ]
    table("Shards", ("layers", "size", "file"), shown)


def _describe(quality: dict[str, Any] | None) -> str:
    """What an import loses, in words."""
    if quality is None:
        return "Not compared with the float model."
    between = {name: f"{low:.3%} to {high:.3%}" for name, (low, high) in quality["intervals"].items()}
    low, high = quality["intervals"]["kl"]
    return (
        f"Perplexity {quality['perplexity_float32']:.4f} in float32, {quality['perplexity_integer']:.4f} in integers "
        f"({quality['relative_increase']:+.3%}; {between['relative_increase']}); the same best token in "
        f"{quality['top1_agreement']:.2%} ({between['top1_agreement']}) of {quality['tokens']} predictions; "
        f"divergence {quality['kl']:.5f} nats ({low:.5f} to {high:.5f}). Intervals are of 95 %; the text chose nothing."
    )
