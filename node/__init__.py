"""The programs: the daemon ``nexus-node`` and, in ``node.cli``, the command ``nexus``."""
