"""``nexus model catalogue`` and ``fetch``: models that are known by name."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.output import Shown, emit_json, note, result, table
from node.cli.settings import JsonFlag, settings_of


def list_catalogue(context: typer.Context, json: JsonFlag = False) -> None:
    """List the models that `nexus model fetch` and `nexus up` know by name."""
    from nexus_chain.client.home import ClientHome
    from nexus_chain.workflows.catalogue import catalogue

    home = ClientHome(settings_of(context).home)
    rows = [
        {
            "name": entry.name,
            "title": entry.title,
            "licence": entry.licence,
            "bytes": entry.size,
            "source": entry.source,
            "weights_root": None if entry.weights_root is None else "0x" + entry.weights_root.hex(),
            "folder": str(entry.folder(home)) if entry.is_fetched(home) else None,
        }
        for entry in catalogue().values()
    ]
    if json:
        emit_json({"models": rows})
        return
    shown = [
        (row["name"], row["title"], row["licence"], _size(entry.size), row["source"], "yes" if row["folder"] else "no")
        for row, entry in zip(rows, catalogue().values(), strict=True)
    ]
    table("Catalogue", ("name", "what", "licence", "transfer", "from", "here"), shown)


def fetch(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name in `nexus model catalogue`.")],
    json: JsonFlag = False,
) -> None:
    """Fetch a model of the catalogue into NEXUS_HOME/checkpoints; a transfer that broke off goes on.

    Its SHA-256 is checked. `nexus model import NAME --unmeasured` then makes the integer model of it in one pass.
    """
    from nexus_chain.client.home import ClientHome
    from nexus_chain.workflows.catalogue import entry_named, fetch_model

    home, entry = ClientHome(settings_of(context).home), entry_named(name)
    was_here = entry.is_fetched(home)
    folder = fetch_model(entry, home, Shown(quiet=json))
    if json:
        emit_json({"name": name, "folder": str(folder), "licence": entry.licence, "fetched": not was_here})
        return
    result(str(folder))
    note(f"{entry.title}. Licence {entry.licence}, from {entry.source}{', here already' if was_here else ''}.")


def _size(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size else "-"
