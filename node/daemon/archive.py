"""``nexus-node backup`` and ``restore``: a data folder in one file while the daemon runs, and back."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from node.daemon.configuration import NodeConfiguration

KIND = "node"
FIRST = ("receipts.sqlite", "events.sqlite")
#: Made again from the rest, or meaning nothing elsewhere.
LEFT_OUT = ("traces", "verified", ".lock")
COPIES = (
    "WARNING: never run two copies of a node. Both would sign over each other, and a receipt that contradicts another "
    "costs the stake. Start this one only where the other is gone for good."
)


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist.")],
) -> None:
    """Write keys, settings, event log, receipts and rows into one file, while the daemon runs.

    Receipts come before events, events before rows: what is promised in one has its proof in the next.
    """
    from nexus_chain.backup import back_up

    configuration: NodeConfiguration = context.obj
    log = configuration.log_file
    made = back_up(configuration.data, file, KIND, lambda place: _left_out(configuration.data, place, log, file), FIRST)
    typer.echo(f"{file}: {made.files} files, {made.size} bytes")
    if configuration.wallet is not None:
        typer.echo(f"the wallet {configuration.wallet} lies elsewhere and is not in it")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `nexus-node backup` wrote.")],
) -> None:
    """Unpack a backup into a data folder that is absent or empty."""
    from nexus_chain.backup import unpack_backup

    configuration: NodeConfiguration = context.obj
    made = unpack_backup(file, configuration.data, KIND)
    typer.echo(f"{configuration.data}: {made.files} files")
    typer.echo(COPIES, err=True)


def _left_out(data: Path, place: PurePosixPath, log: Path | None, file: Path) -> bool:
    absolute = (data / place).absolute()
    is_log = log is not None and absolute.name.startswith(log.name) and absolute.parent == log.absolute().parent
    return place.parts[0] in LEFT_OUT or is_log or absolute == file.absolute() or place.name.startswith(".")
