"""``nexus model share``: what a version's publisher asks beside what nodes earn."""

from __future__ import annotations

from math import isfinite
from typing import Annotated

import typer

from node.cli.output import emit_json, hex_id, mined_fields, note, result
from node.cli.settings import JsonFlag, workspace_of


def share(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="ID", help="Model version id or its beginning.")],
    percent: Annotated[
        float | None,
        typer.Option(min=0.0, help="Per cent of what nodes earn, on top, in steps of 0.01; 0: none [default: show]."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Set what you get of each answer of your version, paid by users beside the nodes' 90 % and the vault's 10 %.

    It counts in sessions that are opened afterwards. What you are owed is fetched with `nexus withdraw`. Without
    --percent it shows what is asked now.
    """
    from nexus_chain.market.publisher_share import per_cent
    from nexus_chain.workflows import asked_share

    workspace = workspace_of(context, quiet=json)
    if percent is None:
        found = asked_share.read_share(workspace, model)
    else:
        found = asked_share.set_share(workspace, model, _basis_points(percent))
    rate = found.share.basis_points
    if json:
        facts = {"model_version": hex_id(found.version), "publisher": found.share.publisher, "share_basis_points": rate}
        emit_json({**facts, "since": found.share.since, **(mined_fields(found.mined) if found.mined else {})})
        return
    result(per_cent(rate))
    if found.mined:
        note(f"In sessions that are opened from now on ({found.mined.gas} gas). Fetch it with `nexus withdraw`.")


def _basis_points(percent: float) -> int:
    """Raises BadParameter for what is no whole number of them."""
    if not isfinite(percent * 100):  # also NaN, which is neither below the least nor above the most
        raise typer.BadParameter(f"{percent} is no number of per cent", param_hint="--percent")
    found = round(percent * 100)
    if abs(percent * 100 - found) > 1e-6:
        raise typer.BadParameter("give steps of 0.01 per cent", param_hint="--percent")
    return found
