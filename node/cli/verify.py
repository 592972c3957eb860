"""``nexus verify``: check an answer, by its papers or by recomputing it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from nexus_chain.evidence.errors import ProofFileError
from node.cli.output import emit_json, hex_id, note, progress, result
from node.cli.settings import JsonFlag, Settings, settings_of


class Level(StrEnum):
    """How much is checked."""

    TRUST = "trust"
    SAMPLED = "sampled"
    FULL = "full"


def verify(
    context: typer.Context,
    answer: Annotated[str, typer.Argument(help="Answer file, or the beginning of an order digest asked from here.")],
    level: Annotated[Level, typer.Option(help="trust: papers only; full: recompute; sampled: some.")] = Level.FULL,
    rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of answers that 'sampled' recomputes.")] = 0.1,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Ask no chain: believe the file's receipt keys, use --model-dir."),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Check an answer; exit code 1 when anything is wrong."""
    from nexus_chain.evidence.verify import FULL, TRUST, sampled, verify_proof

    settings = settings_of(context)
    proof = _load(settings, answer)
    levels = {Level.TRUST: TRUST, Level.SAMPLED: sampled(rate), Level.FULL: FULL}
    model = None if level is Level.TRUST else _model(settings, proof, offline)
    keys = None if offline else _chain_keys(settings, proof)
    with progress("Recomputing", quiet=json) as advance:
        report = verify_proof(proof, model, levels[level], receipt_keys=keys, progress=advance)
    if json:
        emit_json(_to_dict(proof, report))
    else:
        _show(report)
    if not report.passed:
        raise typer.Exit(1)


def _load(settings: Settings, answer: str) -> Any:
    from nexus_chain.evidence.proof import InferenceProof

    path = Path(answer)
    if path.is_file():
        return InferenceProof.load(path)
    prefix = answer.lower().removeprefix("0x")
    if not prefix or any(c not in "0123456789abcdef" for c in prefix):
        raise ProofFileError(f"there is no answer file {answer}", advice="Give the file that `nexus ask` wrote.")
    with settings.client(signing=False) as client:
        found = [digest for digest in client.store.order_digests() if digest.hex().startswith(prefix)]
        if len(found) == 1:
            return client.proof_of(found[0])
    raise ProofFileError(
        f"{len(found)} orders asked from here start with {answer}", advice="See `nexus session list --json`."
    )


def _model(settings: Settings, proof: Any, offline: bool) -> Any:
    """The model of the order, its weights checked against the chain unless ``offline``."""
    from nexus_chain.program import IntegerModel
    from nexus_chain.versions.errors import ModelFilesError
    from node.cli.versions import files_of

    if not offline:
        version = proof.order.model_version
        return files_of(settings, version).model(settings.chain.models.version(version))
    if settings.model_dir is None:
        raise ModelFilesError("--offline needs the model", advice="Give its folder with --model-dir.")
    return IntegerModel.load(settings.model_dir)


def _chain_keys(settings: Settings, proof: Any) -> dict[str, str]:
    """The receipt keys that the registry holds for the nodes of the receipts."""
    if (proof.domain.chain_id, proof.domain.verifying_contract) != (
        settings.chain.domain.chain_id,
        settings.chain.domain.verifying_contract,
    ):
        raise ProofFileError(
            f"the answer belongs to chain {proof.domain.chain_id}, market {proof.domain.verifying_contract}",
            advice="Give that chain's --rpc and --deployment, or --offline.",
        )
    registry = settings.chain.nodes
    return {receipt.node: registry.receipt_key_of(receipt.node) for receipt, _ in proof.receipts}


def _show(report: Any) -> None:
    for step in report.steps:
        result(f"{step.number} {step.name:10} {'passed' if step.passed else 'FAILED: ' + step.reason}")
    for wrong in report.wrong:
        where = f"position {wrong.first_difference}" if wrong.exact else f"positions from {wrong.first_difference}"
        blame = "lied" if wrong.to_blame else "worked on wrong rows"
        result(
            f"  segment {wrong.segment} (layers {wrong.layers[0]}-{wrong.layers[1]}), receipt "
            f"[{wrong.from_position}, {wrong.to_position}): node {wrong.node} {blame}, first difference at {where}"
        )
    done = "recomputed, bit for bit" if report.recomputed else "papers only, nothing recomputed"
    note(f"{'The answer is right' if report.passed else 'The answer is WRONG'} ({done}).")


def _to_dict(proof: Any, report: Any) -> dict[str, Any]:
    return {
        "order": hex_id(proof.order_digest),
        "verified": report.passed,
        "recomputed": report.recomputed,
        "steps": [vars(step) for step in report.steps],
        "receipts": [{**vars(fragment), "layers": list(fragment.layers)} for fragment in report.fragments],
    }
