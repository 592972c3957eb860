"""What the ape tests stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WINDOW, LONGEST = 60, 3600
STAKE = 10**17


@dataclass
class World:
    """One fresh deployment, one published version and two staked nodes that serve half of it each."""

    vault: Any
    models: Any
    nodes: Any
    market: Any
    certificates: Any
    publisher: Any
    operators: list[Any]
    version: bytes
