"""``python -m node.gateway``: the ``nexus-gateway`` command where it is not installed."""

from node.gateway.main import main

main()
