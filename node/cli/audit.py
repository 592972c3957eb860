"""``nexus audit``: check a model's certificate from its CID and the chain alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.output import emit_json, note, result
from node.cli.settings import IpfsOption, JsonFlag, workspace_of

if TYPE_CHECKING:
    from nexus_chain.certificates.audit import AuditStep


def audit(
    context: typer.Context,
    cid: Annotated[str, typer.Argument(help="CID of the certificate; `nexus models` lists them.")],
    ipfs: IpfsOption = None,
    json: JsonFlag = False,
) -> None:
    """Audit a certificate; exit code 1 when a step fails, and which."""
    from nexus_chain.certificates.audit import STEPS
    from nexus_chain.workflows.certificates import audit_certificate

    def tell(step: AuditStep) -> None:
        if not json:
            verdict = "passed" if step.passed else "FAILED"
            result(f"{step.number:2} of {len(STEPS)} {verdict}  {step.title}: {step.detail}")

    report = audit_certificate(workspace_of(context, quiet=json), cid, ipfs, tell)
    if json:
        emit_json(report.to_dict())
    elif report.failed_step is None:
        note("The certificate holds.")
    else:
        note(f"The certificate does NOT hold: step {report.failed_step.number} failed.")
    if not report.passed:
        raise typer.Exit(1)
