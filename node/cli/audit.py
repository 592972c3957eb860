"""``nexus audit``: check a model's certificate from its CID and the chain alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.output import emit_json, note, result
from node.cli.settings import IpfsOption, JsonFlag, workspace_of

if TYPE_CHECKING:
    from nexus_chain.certificates.audit_evidence import AuditStep
    from nexus_chain.certificates.audit_policy import Policy

_DAY = 86_400


def audit(
    context: typer.Context,
    cid: Annotated[str, typer.Argument(help="CID of the certificate; `nexus models` lists them.")],
    ipfs: IpfsOption = None,
    car: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="CAR archive with blocks.")] = None,
    export_car: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write what the audit read into this CAR archive.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Examples, verdicts and problems that are looked at one by one; 0: all.")
    ] = 20,
    seed: Annotated[
        str | None, typer.Option(help="Your own randomness, to draw the same sample again [default: fresh].")
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train the adapter again.")] = False,
    require_tier: Annotated[
        str | None, typer.Option(metavar="TIER", help="Fail below this tier: bronze, silver, gold, platinum.")
    ] = None,
    require_judged: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Fail where a smaller share of the examples is proved.")
    ] = None,
    require_accuracy: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Fail where the accuracy may be below this.")
    ] = None,
    max_age_days: Annotated[
        float | None, typer.Option(min=0.0, help="Fail where the certificate was anchored earlier.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Audit a certificate; exit code 1 when a step fails, and which."""
    from nexus_chain.certificates.audit_evidence import AuditRequest
    from nexus_chain.workflows.certificates import AuditSources, audit_certificate

    policy = _policy(require_tier, require_judged, require_accuracy, max_age_days)
    request = AuditRequest(sample=sample or None, retrain=retrain, policy=policy)
    if seed is not None:
        request = AuditRequest(sample=sample or None, seed=seed, retrain=retrain, policy=policy)

    def tell(step: AuditStep) -> None:
        if not json:
            verdict = "FAILED" if not step.passed else "passed" if step.checked else "skipped"
            result(f"{step.number:2} of {step.total} {verdict}  {step.title}: {step.detail}")

    sources = AuditSources(ipfs, car, export_car)
    report = audit_certificate(workspace_of(context, quiet=json), cid, sources, tell, request)
    if json:
        emit_json(report.to_dict())
    elif report.failed_step is None:
        note("The certificate holds." + (f" The sample was drawn with --seed {report.seed}" if report.seed else ""))
    else:
        note(f"The certificate does NOT hold: step {report.failed_step.number} failed.")
    if not report.passed:
        raise typer.Exit(1)


def _policy(tier: str | None, judged: float | None, accuracy: float | None, days: float | None) -> Policy | None:
    """What the options demand together; None where they demand nothing. Raises AuditPolicyError."""
    from decimal import Decimal

    from nexus_chain.certificates.audit_policy import AllOf, MaxAge, RequireAccuracy, RequireJudged, RequireTier

    demands: list[Policy] = []
    if tier is not None:
        demands.append(RequireTier(tier))
    if judged is not None:
        demands.append(RequireJudged(Decimal(str(judged))))
    if accuracy is not None:
        demands.append(RequireAccuracy(Decimal(str(accuracy))))
    if days is not None:
        demands.append(MaxAge(days * _DAY, time.time()))
    return AllOf(*demands) if demands else None
