"""``nexus-gateway``: entry point; Ctrl-C ends it cleanly while it is still being imported, too."""

from __future__ import annotations

import sys

from nexus_chain.interruption import end_cleanly


def main() -> None:
    """Entry point of the ``nexus-gateway`` command."""
    end_cleanly("nexus-gateway", _run)


def _run() -> int:
    from node.gateway.command import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    main()
