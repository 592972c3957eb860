"""``nexus model publish`` and ``pin``: a version in the registry, its certificate, its files for others to fetch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nexus_chain.settings import DEFAULT_RPC
from node.cli.output import emit_json, hex_id, note, result
from node.cli.settings import IpfsOption, JsonFlag, workspace_of

if TYPE_CHECKING:
    from nexus_chain.workflows.publishing import PublishedVersion
    from nexus_chain.workflows.workspace import Workspace

GATE_PER_CENT = 0.5
GateOption = Annotated[
    float, typer.Option(min=0.0, help="Largest increase of perplexity against float32, in per cent.")
]
BeyondGateFlag = Annotated[bool, typer.Option("--beyond-gate", help="Go on even if the increase is past the gate.")]

#: Where the first node of this machine listens; the next one takes the next port.
FIRST_PORT = 7070

NO_AUDIT = "No certificate: answers can be verified and disputed, where the weights come from cannot be audited."


def publish(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a Hugging Face checkpoint, or GGUF file.")],
    version: Annotated[str, typer.Option(help="Semantic version, such as 1.0.0.")] = "1.0.0",
    price: Annotated[int, typer.Option(min=0, help="Suggested wei per token over all layers.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name in the certificate [default: the folder's].")] = None,
    parent: Annotated[str | None, typer.Option(help="Version this one came from, its id or the beginning.")] = None,
    ipfs: IpfsOption = None,
    gate: GateOption = GATE_PER_CENT,
    beyond_gate: BeyondGateFlag = False,
    uncertified: Annotated[
        bool, typer.Option("--uncertified", help="Without a certificate: of a model that somebody else trained.")
    ] = False,
    distillation: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder that a distillation kept: certify what it learned."),
    ] = None,
    shards: Annotated[
        int | None, typer.Option("--shards", min=1, help="Also cut it into so many files for nodes [default: none].")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Prove, register and certify a model; its files go into the block store.

    A certificate needs the records that scripts/runs/train_model.py and scripts/runs/certify_model.py write. With
    --distillation and --parent the version gets the certificate of what it learned.
    With --shards it shows the `nexus-node` line that serves each shard from this machine.
    """
    from nexus_chain.workflows import publishing
    from nexus_chain.workflows.importing import Measuring

    measuring = Measuring(gate / 100, beyond_gate=beyond_gate)
    wanted = publishing.VersionRequest(
        checkpoint,
        version,
        measuring,
        price,
        name,
        parent,
        certified=not uncertified,
        shards=shards or 0,
        distillation=distillation,
    )
    workspace = workspace_of(context, quiet=json)
    done = publishing.publish(workspace, wanted, ipfs)
    if json:
        emit_json(_to_dict(done, workspace))
        return
    cid = done.anchored.cid
    result(hex_id(done.registered.version))
    audited = f"Certificate {cid}; audit it with `nexus audit {cid}`." if cid else NO_AUDIT
    note(f"{audited} The largest intermediate needs {done.overflow_bits} bits.")
    if done.pinned is False:
        note("The IPFS daemon did not take everything; the block store keeps it. Try again with `nexus model pin`.")
    for shard, line in zip(done.shards, _node_lines(done, workspace), strict=True):
        note(f"Shard of {shard.part.size_mb:.1f} MiB: {shard.file}. It is served by")
        result(line)
    if done.shards and _is_secret(workspace.settings.rpc):
        note("Set NEXUS_RPC where you type these lines: the chain's address may hold a key, and is not shown.")


def _node_lines(done: PublishedVersion, workspace: Workspace) -> list[str]:
    """The command that starts a node of this machine, for each shard."""
    from nexus_chain.chain.local import LOCAL_CHAIN_ID

    settings, chain_id = workspace.settings, workspace.deployment.chain_id
    shared = {
        "--home": settings.home.absolute(),
        "--rpc": settings.rpc if settings.rpc != DEFAULT_RPC and not _is_secret(settings.rpc) else None,
        "--chain-id": chain_id if chain_id != LOCAL_CHAIN_ID else None,
        "--deployment": settings.deployment and settings.deployment.absolute(),
        "--password-file": settings.password_file and settings.password_file.absolute(),
        "--model-version": hex_id(done.registered.version),
    }
    return [_node_line(shared, shard.file.absolute(), FIRST_PORT + at) for at, shard in enumerate(done.shards)]


def _node_line(shared: Mapping[str, object], block: Path, port: int) -> str:
    """The command of one node: its own folder under the home, its port, its shard."""
    own = {
        "--data": Path(str(shared["--home"])) / "nodes" / block.stem,
        "--listen": f"127.0.0.1:{port}",
        "--block": block,
    }
    words = [str(word) for flag, value in {**own, **shared}.items() if value is not None for word in (flag, value)]
    return shlex.join(["nexus-node", *words, "start"])


def _is_secret(rpc: str) -> bool:
    """Whether an RPC address may hold a key, which no output may show."""
    from nexus_chain.chain.provider import shown_url

    return any(shown_url(one.strip()) != one.strip().rstrip("/") for one in rpc.split(","))


def _to_dict(done: PublishedVersion, workspace: Workspace) -> dict[str, object]:
    shards = [
        {"file": str(one.file), "layers": [one.part.layer_start, one.part.layer_end], "command": line}
        for one, line in zip(done.shards, _node_lines(done, workspace), strict=True)
    ]
    return {
        "folder": str(done.folder),
        "shards": shards,
        "model_version": hex_id(done.registered.version),
        "certificate_cid": str(done.anchored.cid) if done.anchored.cid else None,
        "manifest_cid": done.manifest_cid,
        "overflow_bits": done.overflow_bits,
        "gas": {"publish": done.registered.gas, "anchor": done.anchored.gas},
        "pinned": done.pinned,
    }


def pin(context: typer.Context, ipfs: IpfsOption = None, json: JsonFlag = False) -> None:
    """Offer everything again that an IPFS daemon did not take; exit code 1 while something waits."""
    from nexus_chain.workflows.publishing import pin_waiting

    workspace = workspace_of(context, quiet=json)
    address = ipfs or workspace.settings.ipfs
    if address is None:
        raise typer.BadParameter("give --ipfs, the daemon to pin to")
    pinned, waiting = pin_waiting(workspace, address)
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
