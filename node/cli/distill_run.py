"""``nexus distill run``: a model learns from others, and its next version is published with a certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.output import emit_json, note, result, table
from node.cli.settings import IpfsOption, JsonFlag, workspace_of

if TYPE_CHECKING:
    from nexus_chain.workflows.learning.plan import DistillationPlan
    from nexus_chain.workflows.learning.run import LearnedModel
    from nexus_chain.workflows.publishing import PublishedVersion


def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the version that is made.")],
    parent: Annotated[str, typer.Option(metavar="ID", help="Registered version that learns; so much that it is one.")],
    checkpoint: Annotated[Path, typer.Option(help="The parent's float checkpoint: a folder or a GGUF file.")],
    version: Annotated[str, typer.Option(help="Semantic version of what is made, such as 1.1.0.")],
    training: Annotated[int, typer.Option(min=1, help="Problems that the sources answer.")] = 1_500,
    held_out: Annotated[int, typer.Option(min=20, help="Problems that measure, and that nobody trains on.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Of the problems and of the training.")] = 1,
    local: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="A model of the Ollama server; may be repeated.")
    ] = None,
    ollama: Annotated[str | None, typer.Option(metavar="URL", help="Its address [env: OLLAMA_HOST].")] = None,
    teachers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Teachers [default: NEXUS_HOME/distillation/teachers.toml].")
    ] = None,
    agreement: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER",
            help="Compare answers by meaning: an imported encoder's folder, or its name in the catalogue "
            "[default: by the same final answer].",
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the run is kept [default: NEXUS_HOME/distillation/runs/NAME-VERSION].")
    ] = None,
    shards: Annotated[int, typer.Option(min=0, help="TensorBlocks that the version is cut into for nodes.")] = 0,
    price: Annotated[int, typer.Option(min=0, help="Suggested wei per token over all layers.")] = 0,
    publish: Annotated[
        bool, typer.Option("--publish/--no-publish", help="Publish the version if it is better than its parent.")
    ] = True,
    ipfs: IpfsOption = None,
    json: JsonFlag = False,
) -> None:
    """Ask, judge, remember, train, measure; publish what is better. Interrupted, it goes on where it was.

    Sources are asked sums of two numbers of two digits. Only answers that both solvers prove are learned from.
    """
    from nexus_chain.workflows.agreeing import agreement_named
    from nexus_chain.workflows.distilling import SourceChoice, distillation_folder, open_sources
    from nexus_chain.workflows.learning.evaluating import ProgramUnderTest
    from nexus_chain.workflows.learning.plan import DistillationPlan, RunFolder
    from nexus_chain.workflows.learning.run import learn, publish_child

    workspace = workspace_of(context, quiet=json)
    known = workspace.library.choose(parent)
    plan = DistillationPlan(
        known.hex(), checkpoint, name, version, training, held_out, seed, price=price, shards=shards
    )
    place = RunFolder(folder or distillation_folder(workspace.settings) / "runs" / f"{name}-{version}")
    choice = SourceChoice(tuple(local or ()), ollama, teachers, max_tokens=64)
    compared = agreement_named(agreement, workspace.settings, workspace.observer)
    with open_sources(workspace.settings, choice) as sources:
        program = ProgramUnderTest.published(workspace, known)
        learned = learn(plan, program, sources, place, workspace.observer, agreement=compared)
    made = publish_child(workspace, plan, learned, place, ipfs) if publish else None
    if json:
        emit_json(_document(plan, learned, made))
    else:
        _show(learned, made)


def _document(plan: DistillationPlan, learned: LearnedModel, made: PublishedVersion | None) -> dict[str, Any]:
    after = learned.after
    published = {
        "version": "0x" + made.registered.version.hex(),
        "certificate": str(made.anchored.cid),
        "shards": [str(shard.file) for shard in made.shards],
        "folder": str(made.folder),
    } if made else {}  # fmt: skip
    return {
        "problems": plan.training,
        "examples": learned.collected.dataset.total_count,
        "teachers": learned.collected.teachers(),
        "accuracy_before": float(learned.before.accuracy),
        "accuracy_after": float(after.accuracy),
        "interval": [float(after.accuracy_low), float(after.accuracy_high)],
        "is_better": learned.is_better,
        "adapter_sha256": learned.adaptation.version.adapter_sha256,
        "seconds_of": dict(learned.seconds),
        **published,
    }


def _show(learned: LearnedModel, made: PublishedVersion | None) -> None:
    columns = ("source", "answers", "proved", "refuted", "USD", "lost")
    rows = [tuple(str(one[column]) for column in ("name", "answers", "proved", "refuted", "cost_usd", "lost"))
            for one in learned.collected.teachers()]  # fmt: skip
    table("Sources", columns, rows, aside=True)
    before, after = learned.before, learned.after
    note(f"{learned.collected.dataset.total_count} proved examples were learned from.")
    note(
        f"Of the held-out problems {float(before.accuracy):.1%} were right before, {float(after.accuracy):.1%} are now "
        f"(95 % interval {float(after.accuracy_low):.1%} to {float(after.accuracy_high):.1%})."
    )
    if made is None:
        note("Nothing was published.")
        return
    note(f"Kept in {made.folder}. `nexus audit {made.anchored.cid}` checks the certificate.")
    result("0x" + made.registered.version.hex())
