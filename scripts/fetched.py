"""Models of the catalogue for scripts: fetched into ``build/catalogue`` once."""

from __future__ import annotations

import sys
from pathlib import Path

from nexus_chain.client.home import ClientHome
from nexus_chain.workflows.catalogue import entry_named, fetch_model
from nexus_chain.workflows.errors import CatalogueError

HOME = ClientHome(Path(__file__).resolve().parents[1] / "build" / "catalogue")


def fetched(name: str) -> Path:
    """The checkpoint's folder; exits with advice if it cannot be fetched."""
    try:
        return fetch_model(entry_named(name), HOME)
    except CatalogueError as error:
        sys.exit(str(error))
