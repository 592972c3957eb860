"""``python -m node.daemon`` is ``nexus-node``."""

from node.daemon.command import main

if __name__ == "__main__":
    main()
