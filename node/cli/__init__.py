"""The ``nexus`` command, one file per group of commands."""

from node.cli.app import main

__all__ = ["main"]
