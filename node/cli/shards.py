"""``nexus model inspect``, ``verify``, ``plan``: what a model or shard holds, whether it is intact, who serves it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexus_chain.byte_sizes import format_size
from node.cli.output import emit_json, hex_id, note, result, spinner, table
from node.cli.settings import JsonFlag, Settings, settings_of

if TYPE_CHECKING:
    from nexus_chain.planning.plan import ShardPlan
    from nexus_chain.program import Program

PlaceArgument = Annotated[Path, typer.Argument(help="A shard's file, or the folder of an integer model.")]
ContextOption = Annotated[int, typer.Option("--context", min=0, help="Positions per session [default: all].")]
SessionsOption = Annotated[int, typer.Option(min=1, help="Sessions at once.")]


@dataclass(frozen=True)
class Held:
    """What lies at a place: layers of a program, and the roots it claims (``known``: computed from the bytes)."""

    kind: str
    program: Program
    layers: tuple[int, int]
    weights_root: bytes
    program_root: bytes
    known: bool


def read_place(place: Path, *, quiet: bool) -> Held:
    """A shard's index, or an integer model's folder with its roots computed. Raises the readers' errors."""
    from nexus_chain.commitments.block_index import BlockIndex, index_path
    from nexus_chain.commitments.weights import ModelCommitment
    from nexus_chain.program import IntegerModel

    if place.is_dir():
        model = IntegerModel.load(place)
        with spinner(f"Hashing {place}", quiet=quiet):
            roots = ModelCommitment.of(model)
        layers = (0, model.program.shape.layers)
        return Held("model", model.program, layers, roots.weights_root, roots.program_root, known=True)
    index = BlockIndex.read(index_path(place))
    return Held("shard", index.program, index.layers, index.claimed_root, index.program_root, known=False)


def inspect(
    context: typer.Context,
    place: PlaceArgument,
    positions: ContextOption = 0,
    sessions: SessionsOption = 1,
    weights: Annotated[bool, typer.Option("--weights", help="List every weight.")] = False,
    json: JsonFlag = False,
) -> None:
    """Say what a model or a shard holds, and the memory that serving it takes."""
    held = read_place(place, quiet=json)
    found = described(held, positions or held.program.shape.context, sessions)
    if weights:
        specs = held.program.weights_of(*held.layers)
        found["weights"] = [
            {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape), "bytes": spec.nbytes} for spec in specs
        ]
    if json:
        emit_json(found)
        return
    _show(found)
    if weights:
        rows = [(w["name"], w["dtype"], "x".join(map(str, w["shape"])), w["bytes"]) for w in found["weights"]]
        table("Weights", ("name", "type", "shape", "bytes"), rows)


def described(held: Held, context: int, sessions: int) -> dict[str, Any]:
    """Everything that ``inspect`` says, for ``sessions`` of ``context`` positions. Raises PlanInputError."""
    from nexus_chain.commitments.tensor_block import page_margin
    from nexus_chain.engine.stream_plan import least_limit
    from nexus_chain.planning.demand import Load, ModelDemand

    program, (start, end) = held.program, held.layers
    demand = ModelDemand(program, Load(context, sessions)).of(start, end)
    specs = program.weights_of(start, end)
    by_layer = [sum(s.nbytes for s in program.weights_of(n, n + 1)) for n in range(start, end)]
    return {
        "kind": held.kind,
        "name": program.name,
        "layers": [start, end],
        "model_layers": program.shape.layers,
        "shape": asdict(program.shape),
        "tensors": len(specs),
        "bytes": demand.parameters,
        "bytes_by_layer": by_layer,
        "ops": dict(sorted(Counter(op.kind for op in program.segment(start, end)).items())),
        "weights_root": hex_id(held.weights_root),
        "program_root": hex_id(held.program_root),
        "weights_verified": held.known,
        "context": context,
        "sessions": sessions,
        "cache_bytes": demand.kv_cache,
        "cache_bytes_per_token": demand.kv_cache // sessions // context,
        "activation_bytes": demand.activations,
        "memory_bytes": demand.memory,
        "least_memory_limit": least_limit(program, start, end, margin=page_margin(demand.parameters)),
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
    if (weights_root is None) == (model_version is None):
        raise typer.BadParameter("give either --weights-root or --model-version")
    roots: tuple[bytes, bytes | None]
    if model_version is not None:
        roots = _registered(settings_of(context), model_version)
    else:
        roots = _root(str(weights_root)), None if program_root is None else _root(program_root)
    began = time.perf_counter()
    with spinner(f"Verifying {place}", quiet=json):
        document = verified(place, *roots)
    seconds = time.perf_counter() - began
    if json:
        emit_json({"verified": True, **document, "seconds": round(seconds, 3)})
        return
    result(f"{place}: all {format_size(document['bytes'])} are those of weights root {document['weights_root']}")
    note(f"layers {document['layers'][0]}-{document['layers'][1]}, {seconds:.1f} s")


def verified(place: Path, weights_root: bytes, program_root: bytes | None) -> dict[str, Any]:
    """What is at ``place``, every byte of it checked. Raises TensorBlockError, TamperedTensorError."""
    from nexus_chain.commitments.errors import TensorBlockError
    from nexus_chain.commitments.tensor_block import load_tensor_block

    if not place.is_dir():
        block = load_tensor_block(place, weights_root, program_root)
        layers, size, root = [block.layer_start, block.layer_end], block.nbytes, block.commitment.program_root
    else:
        held = read_place(place, quiet=True)
        for name, found, wanted in (
            ("weights", held.weights_root, weights_root),
            ("program", held.program_root, program_root or held.program_root),
        ):
            if found != wanted:
                raise TensorBlockError(
                    f"{place} has {name} root {found.hex()}, not {wanted.hex()}",
                    advice="Import the checkpoint again, or download the registered version.",
                )
        layers, size, root = list(held.layers), sum(s.nbytes for s in held.program.weights), held.program_root
    roots = {"weights_root": hex_id(weights_root), "program_root": hex_id(root)}
    return {"file": str(place), "layers": layers, "bytes": size, **roots}


def _root(text: str) -> bytes:
    try:
        root = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        root = b""
    if len(root) != 32:
        raise typer.BadParameter(f"{text!r} is no root: 32 bytes in hex")
    return root


def _registered(settings: Settings, wanted: str) -> tuple[bytes, bytes]:
    from node.cli.versions import choose_version

    version = settings.chain.models.version(choose_version(settings, wanted))
    return version.weights_root, version.program_root


def plan(
    context: typer.Context,
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
    from nexus_chain.planning.demand import Load
    from nexus_chain.planning.plan import ExpertPolicy, plan_shards
    from nexus_chain.planning.profiles import read_histogram, read_profiles

    program = _program_at(place)
    uses = read_histogram(expert_uses) if expert_uses else {}
    load = Load(positions or program.shape.context, sessions)
    found = plan_shards(program, read_profiles(nodes), load, ExpertPolicy(uses, coverage))
    if resident is not None:
        resident.write_text("".join(f"{name}\n" for stage in found.stages for name in stage.resident))
    if json:
        emit_json(plan_document(found))
        return
    _show_plan(found)


def _program_at(place: Path) -> Program:
    from nexus_chain.commitments.block_index import BlockIndex, index_path
    from nexus_chain.program.errors import ProgramFormatError
    from nexus_chain.program.model import PROGRAM_FILE
    from nexus_chain.program.reproduction import read_program

    if not place.is_dir():
        return BlockIndex.read(index_path(place)).program
    if not (place / PROGRAM_FILE).is_file():
        raise ProgramFormatError(
            f"{place} has no {PROGRAM_FILE}", advice="Point to a folder written by `nexus model import`."
        )
    return read_program((place / PROGRAM_FILE).read_bytes())


def plan_document(found: ShardPlan) -> dict[str, Any]:
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
    spare = f"; free for replicas: {', '.join(found.unused)}" if found.unused else ""
    note(
        f"{found.tokens_per_second:.2f} tokens/s with the pipeline full, "
        f"{1000 * found.seconds_per_token:.1f} ms a token for one session{spare}"
    )
