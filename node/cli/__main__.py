"""``python -m node.cli``: the ``nexus`` command where it is not installed."""

from node.cli import main

main()
