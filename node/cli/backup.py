"""``nexus backup`` and ``nexus restore``: a home in one file, and back."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from node.cli.output import emit_json, note, result
from node.cli.settings import JsonFlag, settings_of

KIND = "home"
#: Can be fetched again, is large, or means nothing elsewhere; a node has backups of its own.
LEFT_OUT = ("models", "checkpoints", "blocks", "node", "pins.sqlite", ".lock")
COPIES = (
    "Two copies of a session must never be used at once: both would promise the same money, and a node that serves "
    "both is paid once. What was asked after the backup is unknown here: run `nexus session recover` before asking."
)


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist.")],
    models: Annotated[bool, typer.Option("--models", help="Model files and blocks too, which can be large.")] = False,
    json: JsonFlag = False,
) -> None:
    """Write wallet, session keys, database, answers and deployments of the home into one file, at any time.

    The wallet stays encrypted; session keys are as they lie in the home, so keep the file private.
    """
    from nexus_chain.backup import back_up

    home = settings_of(context).home
    made = back_up(home, file, KIND, lambda place: _left_out(place, models) or (home / place) == file)
    if json:
        emit_json({"file": str(file), "files": made.files, "bytes": made.size})
        return
    result(str(file))
    wallet = settings_of(context).wallet
    if wallet is not None and not wallet.resolve().is_relative_to(home.resolve()):
        note(f"The wallet {wallet} lies elsewhere and is not in it.")
    note(f"{made.files} files. It holds session keys: whoever reads it can spend what open sessions lock.")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `nexus backup` wrote.")],
    json: JsonFlag = False,
) -> None:
    """Unpack a backup into a home that is absent or empty."""
    from nexus_chain.backup import unpack_backup

    home = settings_of(context).home
    made = unpack_backup(file, home, KIND)
    if json:
        emit_json({"home": str(home), "files": made.files, "made": made.made, "warning": COPIES})
        return
    result(str(home))
    note(f"WARNING: {COPIES}")


def _left_out(place: PurePosixPath, models: bool) -> bool:
    kept = ("models", "checkpoints", "blocks", "pins.sqlite") if models else ()
    first = place.parts[0]
    return (first in LEFT_OUT and first not in kept) or place.name.endswith(".lock")
