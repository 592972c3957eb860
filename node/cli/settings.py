"""What every ``nexus`` command shares: flags of several commands, and the workspace that the settings lead to."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nexus_chain.settings import Settings
from node.cli.output import Shown

if TYPE_CHECKING:
    from nexus_chain.workflows.workspace import Workspace

OperatorsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS,...",
        help="Only these nodes may take part, spares included: each one reads the text "
        "[env: NEXUS_OPERATORS; default: anybody].",
    ),
]
ValueOption = Annotated[
    int | None,
    typer.Option(min=0, metavar="WEI", help="What a wrong answer could cost; each node's stake has to cover it."),
]
IpfsOption = Annotated[
    str | None, typer.Option(help="Kubo daemon, such as /ip4/127.0.0.1/tcp/5001 [env: NEXUS_IPFS; default: none].")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]


def workspace_of(context: typer.Context, *, quiet: bool = False) -> Workspace:
    """What the invocation's settings lead to; ``quiet``: nothing is shown while a task runs."""
    from nexus_chain.workflows.workspace import Workspace

    ask = getpass.getpass if sys.stdin.isatty() else None
    return Workspace(settings_of(context), ask, Shown(quiet=quiet))


def settings_of(context: typer.Context) -> Settings:
    """The invocation's settings, for commands that need no chain."""
    settings = context.find_root().obj
    if not isinstance(settings, Settings):
        raise TypeError("the root command did not run")
    return settings
