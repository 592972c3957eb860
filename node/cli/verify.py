"""``nexus verify``: check an answer, by its papers or by recomputing it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexus_chain.errors import SettingsError
from node.cli.output import emit_json, hex_id, note, result
from node.cli.settings import JsonFlag, workspace_of

if TYPE_CHECKING:
    from nexus_chain.evidence.proof import InferenceProof
    from nexus_chain.evidence.verify import StepResult, VerificationReport


class Level(StrEnum):
    """How much is checked."""

    TRUST = "trust"
    SAMPLED = "sampled"
    FULL = "full"


def verify(
    context: typer.Context,
    answer: Annotated[
        str,
        typer.Argument(
            help="Answer file, a gateway's .../v1/receipts/ID, or the beginning of an order asked from here."
        ),
    ],
    level: Annotated[Level, typer.Option(help="trust: papers only; full: recompute; sampled: some.")] = Level.FULL,
    rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of answers that 'sampled' recomputes.")] = 0.1,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Ask no chain: believe the file's receipt keys, use --model-dir."),
    ] = False,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="File with the gateway's API key of the account that asked [env: NEXUS_API_KEY]."),
    ] = None,
    request: Annotated[
        Path | None, typer.Option(help="File with the JSON body that was sent: the answer has to be one to it.")
    ] = None,
    endpoint: Annotated[str, typer.Option(help="Where --request was sent to.")] = "/v1/chat/completions",
    answer_text: Annotated[
        Path | None, typer.Option(help="File with the text that was received: it has to be the answer's.")
    ] = None,
    prompt_index: Annotated[
        int | None, typer.Option(min=0, help="Which of several prompts in --request it has to answer, from 0.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            help="Model version that is expected: its id or the beginning [default: what the catalogue says of the "
            "request's model]."
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Check an answer; exit code 1 when anything is wrong."""
    from nexus_chain.evidence.verify import FULL, TRUST, level_of_share
    from nexus_chain.workflows.fetched_answers import is_address
    from nexus_chain.workflows.verification import (
        AskedOfGateway,
        find_proof,
        judged_texts,
        verify_asked,
    )

    workspace = workspace_of(context, quiet=json)
    proof = find_proof(workspace, answer, _api_key(api_key_file))
    levels = {Level.TRUST: TRUST, Level.SAMPLED: level_of_share(rate), Level.FULL: FULL}
    text = None if answer_text is None else _text_in(answer_text)
    asked = AskedOfGateway(request, endpoint, text, prompt_index, version)
    report = verify_asked(workspace, proof, levels[level], asked, offline=offline)
    # A gateway may keep a right answer to another question: the user sees what was judged.
    texts = judged_texts(workspace, proof) if report.passed and is_address(answer) and not offline else None
    if json:
        emit_json(_to_dict(proof, report) | (texts or {}))
    else:
        _show(report)
        note(f"Model version {hex_id(proof.order.model_version)} was judged.")
        if texts is not None:
            _show_judged(texts, request is not None)
    if not report.passed:
        raise typer.Exit(1)


def _show_judged(texts: Mapping[str, str], is_compared: bool) -> None:
    note(f"The text that was judged: {texts['text']}")
    note(f"The prompt that was judged: {texts['prompt']}")
    if not is_compared:
        note(
            "Whether this is what you asked, and of which model, is for you to compare: give --request, with the body "
            "that you sent, and --version."
        )


def _text_in(file: Path) -> str:
    """The text in ``file``. Raises SettingsError."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read", advice="Give a file that holds the answer's text.") from error


def _api_key(file: Path | None) -> str | None:
    """The key in ``file``, else in the environment. Raises SettingsError."""
    if file is None:
        return os.environ.get("NEXUS_API_KEY") or None
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read", advice="Give a file that holds the API key.") from error


def _verdict(step: StepResult) -> str:
    found = "passed" if step.passed else "FAILED"
    return f"{found}: {step.reason}" if step.reason else found


def _show(report: VerificationReport) -> None:
    for step in report.steps:
        result(f"{step.number} {step.name:10} {_verdict(step)}")
    for wrong in report.wrong:
        where = f"position {wrong.first_difference}" if wrong.exact else f"positions from {wrong.first_difference}"
        blame = "lied" if wrong.to_blame else "worked on wrong rows"
        result(
            f"  segment {wrong.segment} (layers {wrong.layers[0]}-{wrong.layers[1]}), receipt "
            f"[{wrong.from_position}, {wrong.to_position}): node {wrong.node} {blame}, first difference at {where}"
        )
    done = "recomputed, bit for bit" if report.recomputed else "papers only, nothing recomputed"
    note(f"{'The answer is right' if report.passed else 'The answer is WRONG'} ({done}).")


def _to_dict(proof: InferenceProof, report: VerificationReport) -> dict[str, Any]:
    return {
        "order": hex_id(proof.order_digest),
        "model_version": hex_id(proof.order.model_version),
        "verified": report.passed,
        "recomputed": report.recomputed,
        "steps": [vars(step) for step in report.steps],
        "receipts": [{**vars(fragment), "layers": list(fragment.layers)} for fragment in report.fragments],
    }
