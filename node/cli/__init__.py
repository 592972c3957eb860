"""The ``nexus`` command, one file per group of commands."""

from __future__ import annotations

import sys

from nexus_chain.interruption import end_cleanly

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``nexus`` command; Ctrl-C ends it cleanly while it is still being imported, too."""
    end_cleanly("nexus", _run)


def _run() -> int:
    from node.cli.app import run

    return run(sys.argv[1:])
