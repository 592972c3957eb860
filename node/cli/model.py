"""``nexus model``: from a Hugging Face checkpoint to a registered, certified, served model version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import experts as expert_commands
from node.cli import shards as shard_commands
from node.cli.output import emit_json, hex_id, note, progress, result, spinner, table
from node.cli.settings import JsonFlag, Settings, settings_of

if TYPE_CHECKING:
    from nexus_chain.certificates.kubo import Pinner
    from nexus_chain.certificates.publication import Publication
    from nexus_chain.chain.contracts import Contracts
    from nexus_chain.chain.model_registry import ModelVersion

app = typer.Typer(help="Import, inspect, shard, plan and publish models.", no_args_is_help=True, rich_markup_mode=None)
app.command("inspect")(shard_commands.inspect)
app.command("verify")(shard_commands.verify)
app.command("plan")(shard_commands.plan)
app.command("expert-uses")(expert_commands.expert_uses)
CheckpointArgument = Annotated[Path, typer.Argument(help="Folder of a trained Hugging Face checkpoint.")]
GATE_PER_CENT = 0.5
GateOption = Annotated[
    float, typer.Option(min=0.0, help="Largest increase of perplexity against float32, in per cent.")
]
BeyondGateFlag = Annotated[bool, typer.Option("--beyond-gate", help="Go on even if the increase is past the gate.")]


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
    within the gate. Past the gate nothing is kept.
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
    from nexus_chain.program import IntegerModel
    from nexus_chain.routing.shards import shard_model

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


@app.command("publish")
def publish(
    context: typer.Context,
    checkpoint: CheckpointArgument,
    version: Annotated[str, typer.Option(help="Semantic version, such as 1.0.0.")] = "1.0.0",
    price: Annotated[int, typer.Option(min=0, help="Suggested wei per token over all layers.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name in the certificate [default: the folder's].")] = None,
    parent: Annotated[str | None, typer.Option(help="Version this one came from, its id or the beginning.")] = None,
    ipfs: Annotated[str | None, typer.Option(envvar="NEXUS_IPFS", help="Kubo daemon to pin to as well.")] = None,
    gate: GateOption = GATE_PER_CENT,
    beyond_gate: BeyondGateFlag = False,
    json: JsonFlag = False,
) -> None:
    """Prove, register and certify a trained model; its files go into the block store.

    The folder needs the records that scripts/train_model.py and scripts/certify_model.py write.
    """
    from nexus_chain.certificates.block_store import BlockStore
    from nexus_chain.certificates.publication import Publication
    from nexus_chain.disputes.caps import check_caps
    from nexus_chain.program.overflow import prove_no_overflow
    from nexus_chain.quality import require_within
    from nexus_chain.quality.calibration import require_vocabulary
    from node.cli.importing import keep
    from node.cli.versions import choose_version

    settings = settings_of(context)
    contracts = settings.wallet_chain
    store = BlockStore(settings.home.prepare().blocks)
    pinner = _pinner(settings, ipfs) if ipfs else None  # a bad address is refused before anything is paid for
    with spinner("Importing and hashing", quiet=json):
        publication = Publication.prepare(checkpoint, store, version, name)
    require_vocabulary(checkpoint, publication.model.program.shape.vocab)
    if not beyond_gate:
        require_within(publication.relative_increase, gate / 100)
    with spinner("Proving that no operation overflows", quiet=json):
        proof = prove_no_overflow(publication.model.program)
        check_caps(publication.model.program)
    before = choose_version(settings, parent) if parent else bytes(32)
    with spinner("Registering", quiet=json):
        version_id, published_gas = _register(
            contracts, settings.wallet.address, _stated(publication, version, price, before)
        )
        signed = publication.certificate(settings.wallet.address, version_id, before).sign(settings.wallet)
        cid = store.add_bytes(signed.to_bytes())
        anchored = contracts.certificates.anchor(version_id, str(cid), signed.content_hash)
    keep(publication.model, publication.recipe, checkpoint, settings.home.models / version_id.hex()[:16])
    pinned = pinner.pin_all([cid, *publication.cids]) if pinner else None
    document = {
        "model_version": hex_id(version_id),
        "certificate_cid": str(cid),
        "manifest_cid": publication.manifest_cid,
        "overflow_bits": proof.bits,
        "gas": {"publish": published_gas, "anchor": anchored.gas},
        "pinned": pinned,
    }
    if json:
        emit_json(document)
        return
    result(hex_id(version_id))
    note(f"Certificate {cid}; the largest intermediate needs {proof.bits} bits. Audit it with `nexus audit {cid}`.")
    if pinned is False:
        note("The IPFS daemon did not take everything; the block store keeps it. Try again with `nexus model pin`.")


@app.command("pin")
def pin(
    context: typer.Context,
    ipfs: Annotated[str, typer.Option(envvar="NEXUS_IPFS", help="Kubo daemon, such as /ip4/127.0.0.1/tcp/5001.")],
    json: JsonFlag = False,
) -> None:
    """Offer everything again that an IPFS daemon did not take; exit code 1 while something waits."""
    from nexus_chain.certificates.kubo import PinQueue

    settings = settings_of(context)
    pinned = _pinner(settings, ipfs).retry()
    waiting = PinQueue(settings.home.pins).waiting()
    if json:
        left = [{"cid": str(entry.cid), "attempts": entry.attempts, "problem": entry.problem} for entry in waiting]
        emit_json({"pinned": [str(cid) for cid in pinned], "waiting": left})
    else:
        for cid in pinned:
            result(str(cid))
        note(f"{len(pinned)} pinned, {len(waiting)} waiting.")
        for entry in waiting:
            note(f"{entry.cid}: {entry.problem}")
    if waiting:
        raise typer.Exit(1)


def _told(quality: dict[str, float] | None) -> str:
    """What an import loses, in words."""
    if quality is None:
        return "Not compared with the float model."
    return (
        f"Perplexity {quality['perplexity_float32']:.4f} in float32, {quality['perplexity_integer']:.4f} in integers "
        f"({quality['relative_increase']:+.3%}); the same best token in {quality['top1_agreement']:.2%} of "
        f"{quality['tokens']} predictions."
    )


def _register(contracts: Contracts, publisher: str, stated: ModelVersion) -> tuple[bytes, int]:
    """(version id, gas); goes on after a crash between registering and anchoring, where gas is 0."""
    version = contracts.models.id_of(publisher, stated)
    if contracts.models.publisher_of(version) and contracts.certificates.certificate(version) is None:
        return version, 0
    version, mined = contracts.models.publish(stated)
    return version, mined.gas


def _stated(publication: Publication, version: str, price: int, parent: bytes) -> ModelVersion:
    from nexus_chain.chain.model_registry import ModelVersion, SemVer

    major, minor, patch = (int(part) for part in version.split("."))
    return ModelVersion(
        publication.commitment.weights_root,
        publication.commitment.program_root,
        publication.tokenizer_sha256,
        price,
        publication.model.program.shape.layers,
        SemVer(major, minor, patch),
        publication.manifest_cid,
        parent,
    )


def _pinner(settings: Settings, address: str) -> Pinner:
    """What pins files of this home's block store to the daemon at ``address``. Raises IpfsDaemonError."""
    from nexus_chain.certificates.block_store import BlockStore
    from nexus_chain.certificates.kubo import KuboDaemon, Pinner, PinQueue

    home = settings.home.prepare()
    return Pinner(BlockStore(home.blocks), PinQueue(home.pins), KuboDaemon(address))
