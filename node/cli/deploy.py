"""``nexus deploy``: the contracts, from the artefacts that are shipped, onto a chain."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.output import emit_json, note, result
from node.cli.settings import JsonFlag, workspace_of


def deploy(
    context: typer.Context,
    preset: Annotated[
        str | None,
        typer.Option(help="Times and stakes: local, mainnet or rollup [default: local, on a development chain]."),
    ] = None,
    beneficiary: Annotated[
        str | None,
        typer.Option(help="May spend what reaches the Genesis Vault [default on a development chain: who pays]."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="New contracts although some stand; the file of those is kept.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Deploy the contracts and write the deployment file into the home; a second run changes nothing.

    The wallet pays; on a development chain (31337, 1337) the first public test account, unless --wallet is given.
    A run that broke off goes on where it stopped.
    """
    from dataclasses import asdict

    from nexus_chain.chain.deployment import CONTRACT_FIELDS
    from nexus_chain.workflows.deploying import DeploymentRequest, deploy_contracts

    done = deploy_contracts(workspace_of(context, quiet=json), DeploymentRequest(preset, beneficiary, again))
    if json:
        emit_json({"file": str(done.path), "created": done.created, "deployment": asdict(done.deployment)})
        return
    for field, contract in CONTRACT_FIELDS.items():
        result(f"{contract:20} {getattr(done.deployment, field)}")
    note(f"Chain {done.deployment.chain_id}, preset {done.deployment.preset}: {done.path}")


def deploy_deposits(
    context: typer.Context,
    operator: Annotated[str | None, typer.Option(help="Who sells the answers [default: the wallet].")] = None,
    notice: Annotated[
        int,
        typer.Option(help="Seconds that the operator has to claim what was spent, once somebody asks for the rest."),
    ] = 3 * 86_400,
    json: JsonFlag = False,
) -> None:
    """Create a contract that takes deposits for one gateway. Each call creates another one; the wallet pays.

    Operator and notice can never be changed.
    """
    from dataclasses import asdict

    from nexus_chain.workflows.deploying import deploy_deposits as create

    done = create(workspace_of(context, quiet=json), operator, notice)
    if json:
        emit_json(asdict(done))
        return
    result(done.contract)
    note(f"Start the gateway of {done.operator} with --deposits {done.contract} --deposits-block {done.block}.")
