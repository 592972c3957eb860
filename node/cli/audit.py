"""``nexus audit``: check a model's certificate from its CID and the chain alone."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.output import emit_json, note, result
from node.cli.settings import JsonFlag, settings_of


def audit(
    context: typer.Context,
    cid: Annotated[str, typer.Argument(help="CID of the certificate; `nexus models` lists them.")],
    ipfs: Annotated[
        str | None,
        typer.Option(envvar="NEXUS_IPFS", help="Kubo daemon to fetch blocks from, such as /ip4/127.0.0.1/tcp/5001."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Audit a certificate; exit code 1 when a step fails, and which."""
    from nexus_chain.certificates.audit import STEPS, AuditStep
    from nexus_chain.certificates.audit import audit as run_audit
    from nexus_chain.content.block_store import BlockSource, BlockStore, FirstOf
    from nexus_chain.content.kubo import KuboDaemon

    settings = settings_of(context)
    sources: list[BlockSource] = [BlockStore(settings.home.blocks)]
    if ipfs:
        sources.append(KuboDaemon(ipfs))

    def told(step: AuditStep) -> None:
        if not json:
            verdict = "passed" if step.passed else "FAILED"
            result(f"{step.number:2} of {len(STEPS)} {verdict}  {step.title}: {step.detail}")

    report = run_audit(cid, FirstOf(sources), settings.chain, told)
    if json:
        emit_json(report.to_dict())
    else:
        note("The certificate holds." if report.passed else "The certificate does NOT hold; see the failed step.")
    if not report.passed:
        raise typer.Exit(1)
