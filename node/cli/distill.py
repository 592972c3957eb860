"""``nexus distill``: ask several models, take what the judge proves, and keep it to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.output import Shown, emit_json, note, result, table
from node.cli.settings import JsonFlag, settings_of
from node.cli.typed_text import require_text

if TYPE_CHECKING:
    from nexus_chain.distillation.distiller.claims import ProvableProblem
    from nexus_chain.distillation.distiller.request import DistillationRequest
    from nexus_chain.distillation.distiller.result import DistillationResult, ResponseScore

app = typer.Typer(help="Learn from others what the judge proves.", no_args_is_help=True, rich_markup_mode=None)

_CATEGORIES = {"mathematics": "math", "aethel": "code", "python": "code"}
_SHOWN = 60
"""Characters of an answer in a table."""


@app.command("ask")
def ask(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What every source is asked.")],
    expected: Annotated[
        str | None, typer.Option(metavar="EXPRESSION", help="What the answer has to equal, over the integers.")
    ] = None,
    problem: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON of a claim as `nexus judge` reads it, without the answer."),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="formal, hybrid or consistency [default: formal; without a problem consistency]."),
    ] = None,
    category: Annotated[str | None, typer.Option(help="code, math, logic or text [default: the problem's].")] = None,
    local: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="A model of the Ollama server; may be repeated.")
    ] = None,
    ollama: Annotated[str | None, typer.Option(metavar="URL", help="Its address [env: OLLAMA_HOST].")] = None,
    teachers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Teachers [default: NEXUS_HOME/distillation/teachers.toml]."),
    ] = None,
    agreement: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER",
            help="Compare answers by meaning: an imported encoder's folder, or its name in the catalogue "
            "[default: by the same final answer].",
        ),
    ] = None,
    no_teachers: Annotated[bool, typer.Option("--no-teachers", help="Ask local models only.")] = False,
    remember: Annotated[
        bool, typer.Option("--remember/--no-remember", help="Keep a proved answer in the memory.")
    ] = True,
    json: JsonFlag = False,
) -> None:
    """Ask all sources and take the best answer; exit code 1 where none may be taken.

    What was asked before is not asked, or paid, again: the answers are kept.
    """
    from nexus_chain.distillation.distiller.request import DistillationRequest
    from nexus_chain.workflows import agreeing, distilling

    if expected is not None and problem is not None:
        raise typer.BadParameter("give --expected or --problem", param_hint="--problem")
    stated, kind = _stated(expected, problem)
    request = DistillationRequest(
        require_text(prompt, "the prompt"),
        use_teachers=not no_teachers,
        verification_mode=mode or ("formal" if stated else "consistency"),
        category=category or _CATEGORIES.get(kind, "text"),
        problem=stated,
    )
    settings = settings_of(context)
    choice = distilling.SourceChoice(tuple(local or ()), ollama, teachers)
    compared = agreeing.agreement_named(agreement, settings, Shown(quiet=json))
    with distilling.open_distiller(settings, choice, agreement=compared) as (distiller, _):
        found = distiller.distill(request)
    kept = remember and _remembered(context, request, found)
    if json:
        emit_json({**found.to_dict(), "remembered": kept})
    else:
        _show(found, kept)
    if found.best_response is None:
        raise typer.Exit(1)


@app.command("memory")
def memory(context: typer.Context, json: JsonFlag = False) -> None:
    """Say what the memory holds."""
    from nexus_chain.workflows.distilling import open_memory

    with open_memory(settings_of(context)) as opened:
        found, place = opened.get_statistics(), opened.name
    if json:
        emit_json({"storage": place, **_plain(vars(found))})
        return
    ready = "ready to train on" if found.ready_for_training else "not enough to train on"
    result(f"{found.total_examples} examples, {found.confident} of a confidence to train with: {ready}")
    for title, counts in (("category", found.categories), ("source", found.sources)):
        if counts:
            table(f"By {title}", (title, "examples"), list(counts.items()))
    note(f"Kept in {place}.")


@app.command("export")
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where the chat lines (JSONL) go.")],
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Of the examples that are taken.")] = 0.8,
    json: JsonFlag = False,
) -> None:
    """Write the memory's examples as the chat lines that trainers read."""
    from nexus_chain.workflows.distilling import open_memory

    with open_memory(settings_of(context)) as opened:
        found = opened.export_lora_format(file, min_confidence)
    if json:
        emit_json({**vars(found), "path": str(found.path)})
        return
    result(f"{found.count} examples in {found.path}")
    note(f"SHA-256 {found.sha256}.")


def _stated(expected: str | None, file: Path | None) -> tuple[ProvableProblem | None, str]:
    """The problem and its kind. Raises DistillationRequestError."""
    from nexus_chain.distillation.distiller.claims import MathematicsProblem, problem_of
    from nexus_chain.distillation.distiller.errors import DistillationRequestError
    from nexus_chain.json_text import parse_json

    if file is None:
        return (None, "") if expected is None else (MathematicsProblem(expected), "mathematics")
    try:
        statement = parse_json(file.read_bytes())
        if not isinstance(statement, dict):
            raise ValueError("no JSON object")
    except ValueError as error:
        raise DistillationRequestError(
            f"{file} is no problem ({error})", advice="Write a claim as JSON, and leave out the answer."
        ) from error
    return problem_of(statement), str(statement["kind"])


def _remembered(context: typer.Context, request: DistillationRequest, found: DistillationResult) -> bool:
    from nexus_chain.workflows.distilling import open_memory, remember

    if found.verification_proof is None:
        return False
    with open_memory(settings_of(context)) as memory:
        return remember(memory, request, found)


def _show(found: DistillationResult, kept: bool) -> None:
    """The table and the reasons beside the result, which is the answer alone."""
    columns = ("source", "judge", "confidence", "agreement", "record", "answer")
    table("Answers", columns, [_row(score) for score in found.all_scores], aside=True)
    for score in found.all_scores:
        note(f"{score.source}: {score.explanation}")
    for failure in found.failures:
        note(f"{failure.source}: {failure.reason}")
    note(f"{found.explanation} Cost {found.cost_usd} USD.{' It is kept in the memory.' if kept else ''}")
    if found.best_response is not None:
        result(found.best_response)


def _row(score: ResponseScore) -> tuple[str, ...]:
    judged = "vacuous" if score.vacuous else str(score.outcome or "not asked")
    numbers = (score.confidence, score.consistency_score, score.historical_accuracy)
    answer = " ".join(score.response.split())
    shown = answer if len(answer) <= _SHOWN else answer[: _SHOWN - 1] + "…"
    return (score.source, judged, *(f"{number:.2f}" for number in numbers), shown)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, int | float | None) else dict(value) for name, value in fields.items()}
