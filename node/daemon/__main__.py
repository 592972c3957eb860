"""``python -m node.daemon``: the ``nexus-node`` command where it is not installed."""

from node.daemon import main

main()
