"""``nexus model inspect``, ``verify``, ``plan``: what a model or shard holds, whether it is intact, who serves it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexus_chain.byte_sizes import format_size
from node.cli.output import Shown, emit_json, hex_id, note, result, table
from node.cli.settings import JsonFlag, workspace_of

if TYPE_CHECKING:
    from nexus_chain.planning.plan import ShardPlan
    from nexus_chain.workflows.inspection import Held

PlaceArgument = Annotated[Path, typer.Argument(help="A shard's file, or the folder of an integer model.")]
ContextOption = Annotated[int, typer.Option("--context", min=0, help="Positions per session [default: all].")]
SessionsOption = Annotated[int, typer.Option(min=1, help="Sessions at once.")]


def inspect(
    place: PlaceArgument,
    positions: ContextOption = 0,
    sessions: SessionsOption = 1,
    weights: Annotated[bool, typer.Option("--weights", help="List every weight.")] = False,
    json: JsonFlag = False,
) -> None:
    """Say what a model or a shard holds, and the memory that serving it takes."""
    from nexus_chain.workflows.inspection import read_place

    held = read_place(place, Shown(quiet=json))
    found = _describe(held, positions or held.program.shape.context, sessions)
    if weights:
        found["weights"] = [
            {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape), "bytes": spec.nbytes}
            for spec in held.weights
        ]
    if json:
        emit_json(found)
        return
    _show(found)
    if weights:
        rows = [(w["name"], w["dtype"], "x".join(map(str, w["shape"])), w["bytes"]) for w in found["weights"]]
        table("Weights", ("name", "type", "shape", "bytes"), rows)


def _describe(held: Held, context: int, sessions: int) -> dict[str, Any]:
    """Everything that ``inspect`` says, for ``sessions`` of ``context`` positions. Raises PlanInputError."""
    from nexus_chain.planning.demand import Load

    demand = held.demand(Load(context, sessions))
    return {
        "kind": held.kind,
        "name": held.program.name,
        "layers": list(held.layers),
        "model_layers": held.program.shape.layers,
        "shape": asdict(held.program.shape),
        "tensors": len(held.weights),
        "bytes": demand.parameters,
        "bytes_by_layer": held.bytes_by_layer(),
        "ops": held.ops(),
        "weights_root": hex_id(held.weights_root),
        "program_root": hex_id(held.program_root),
        "weights_verified": held.known,
        "context": context,
        "sessions": sessions,
        "cache_bytes": demand.kv_cache,
        "cache_bytes_per_token": demand.kv_cache // sessions // context,
        "activation_bytes": demand.activations,
        "memory_bytes": demand.memory,
        "least_memory_limit": held.least_memory_limit(),
    }


def _show(found: dict[str, Any]) -> None:
    start, end = found["layers"]
    shape = found["shape"]
    claimed = "" if found["weights_verified"] else " (as its index says; `nexus model verify` checks)"
    lines = [
        ("layers", f"{start}-{end} of {found['model_layers']}"),
        ("shape", ", ".join(f"{name} {value}" for name, value in shape.items())),
        ("ops", ", ".join(f"{count} {kind}" for kind, count in found["ops"].items())),
        ("weights", f"{found['tensors']} tensors, {format_size(found['bytes'])}"),
        ("weights root", found["weights_root"] + claimed),
        ("program root", found["program_root"]),
        ("cache", f"{format_size(found['cache_bytes_per_token'])} a token"),
        (
            "memory",
            f"{format_size(found['memory_bytes'])} for {found['sessions']} sessions of {found['context']} positions "
            f"(caches {format_size(found['cache_bytes'])}, activations {format_size(found['activation_bytes'])})",
        ),
        ("from disk", f"--memory-limit {found['least_memory_limit']} at least"),
    ]
    table(f"{found['kind'].capitalize()} {found['name']}", ("what", "value"), lines)


def verify(
    context: typer.Context,
    place: PlaceArgument,
    weights_root: Annotated[str | None, typer.Option(help="The version's weights root, 0x hex.")] = None,
    program_root: Annotated[str | None, typer.Option(help="The version's program root, 0x hex.")] = None,
    model_version: Annotated[
        str | None, typer.Option(help="Take both roots from the chain: the version's id, or its beginning.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Check every byte of a shard or a model against the roots of its version."""
    from nexus_chain.workflows.inspection import registered_roots, verify_place

    if (weights_root is None) == (model_version is None):
        raise typer.BadParameter("give either --weights-root or --model-version")
    roots: tuple[bytes, bytes | None]
    if model_version is not None:
        roots = registered_roots(workspace_of(context).library, model_version)
    else:
        roots = _root(str(weights_root)), None if program_root is None else _root(program_root)
    began = time.perf_counter()
    found = verify_place(place, *roots, Shown(quiet=json))
    seconds = time.perf_counter() - began
    if json:
        said = {"weights_root": hex_id(found.weights_root), "program_root": hex_id(found.program_root)}
        facts = {"file": str(place), "layers": list(found.layers), "bytes": found.size, **said}
        emit_json({"verified": True, **facts, "seconds": round(seconds, 3)})
        return
    result(f"{place}: all {format_size(found.size)} are those of weights root {hex_id(found.weights_root)}")
    note(f"layers {found.layers[0]}-{found.layers[1]}, {seconds:.1f} s")


def _root(text: str) -> bytes:
    try:
        root = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        root = b""
    if len(root) != 32:
        raise typer.BadParameter(f"{text!r} is no root: 32 bytes in hex")
    return root


def plan(
    place: PlaceArgument,
    nodes: Annotated[Path, typer.Option(help="JSON list of nodes: id, memory, measured tokens per second.")],
    positions: ContextOption = 0,
    sessions: SessionsOption = 1,
    expert_uses: Annotated[Path | None, typer.Option(help="Histogram that `nexus model expert-uses` wrote.")] = None,
    coverage: Annotated[float, typer.Option(help="Share of uses whose experts stay in memory.")] = 0.95,
    resident: Annotated[Path | None, typer.Option(help="Write the resident experts' weights there.")] = None,
    json: JsonFlag = False,
) -> None:
    """Split a model over nodes so that the slowest stage is as fast as memories allow."""
    from nexus_chain.workflows.sharding import PlanRequest, plan_nodes

    found = plan_nodes(place, PlanRequest(nodes, positions, sessions, expert_uses, coverage, resident))
    if json:
        emit_json(_plan_document(found))
        return
    _show_plan(found)


def _plan_document(found: ShardPlan) -> dict[str, Any]:
    """The plan as JSON: bytes, seconds, tokens per second."""
    stages = [
        {
            "node": stage.node.node_id,
            "layers": [stage.layer_start, stage.layer_end],
            "memory_bytes": stage.demand.memory,
            "node_memory_bytes": stage.node.memory_bytes,
            **asdict(stage.demand),
            "seconds_per_token": stage.seconds,
            "resident": list(stage.resident),
        }
        for stage in found.stages
    ]
    return {
        "stages": stages,
        "replicas": dict(found.replicas),
        "unused": list(found.unused),
        "tokens_per_second": found.tokens_per_second,
        "seconds_per_token": found.seconds_per_token,
    }


def _show_plan(found: ShardPlan) -> None:
    rows = [
        (
            stage.node.node_id,
            f"{stage.layer_start}-{stage.layer_end}",
            f"{format_size(stage.demand.memory)} of {format_size(stage.node.memory_bytes)}",
            format_size(stage.demand.parameters),
            format_size(stage.demand.kv_cache),
            format_size(stage.demand.cold_experts),
            f"{1000 * stage.seconds:.2f} ms",
        )
        for stage in found.stages
    ]
    columns = ("node", "layers", "memory", "weights", "caches", "on disk", "a token")
    table("Sharding plan", columns, rows)
    copies = [f"{node} as a replica of {found.stages[stage].node.node_id}" for node, stage in found.replicas.items()]
    spare = "".join(f"; {words}" for words in [*copies, *(f"{node} stays free" for node in found.unused)])
    note(
        f"{found.tokens_per_second:.2f} tokens/s with the pipeline full, "
        f"{1000 * found.seconds_per_token:.1f} ms a token for one session{spare}"
    )
