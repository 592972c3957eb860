"""``nexus doctor`` and ``nexus settings``: what is wrong with this machine, and where each setting comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from node.cli.output import emit_json, result
from node.cli.settings import JsonFlag, workspace_of

if TYPE_CHECKING:
    from nexus_chain.settings import Explained


def doctor(context: typer.Context, json: JsonFlag = False) -> None:
    """Check machine, home, settings, chain, contracts and wallet: a line each; exit code 1 when one fails."""
    from nexus_chain.workflows.checkup import check_user

    report = check_user(workspace_of(context, quiet=json), explained(context))
    if json:
        emit_json(report.to_dict())
    else:
        for line in report.lines():
            result(line)
    if not report.passed:
        raise typer.Exit(1)


def settings(context: typer.Context, json: JsonFlag = False) -> None:
    """List every setting, its value, and what gave it: a flag, a variable, the TOML file, or the default."""
    found = explained(context)
    if json:
        emit_json({one.name: {"value": _plain(one), "source": one.source} for one in found})
        return
    for one in found:
        result(f"{one.name:14} {_plain(one)}  ({one.source})")


def explained(context: typer.Context) -> list[Explained]:
    """The invocation's settings with their sources."""
    from nexus_chain.settings import explain_settings

    flags = dict(context.find_root().params)
    config = flags.pop("config")
    flags.pop("version", None)
    return explain_settings(flags, config)


def _plain(one: Explained) -> object:
    if isinstance(one.value, tuple):
        return ", ".join(map(str, one.value))
    return one.value if one.value is None or isinstance(one.value, int) else one.shown
