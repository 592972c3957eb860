"""``nexus-node``: registers a node, serves a shard, defends and settles what it served."""

from __future__ import annotations

import sys

from nexus_chain.interruption import end_cleanly


def main() -> None:
    """Entry point of the ``nexus-node`` command; Ctrl-C ends it cleanly while it is still being imported, too."""
    end_cleanly("nexus-node", _run)


def _run() -> int:
    from node.daemon.command import run

    return run(sys.argv[1:])
