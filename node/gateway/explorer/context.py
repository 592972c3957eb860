"""What every view reads: the archive, what the gateway serves, what it measured, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_chain.routing.registry_view import Measurement
from node.gateway.explorer.archive import ChainArchive
from node.gateway.generation import OfferedModel


@dataclass(frozen=True)
class Pace:
    """How fast this gateway's answers of a model came, since it started. ``seconds``: of all of them together."""

    answers: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class ViewContext:
    """``terms``: the deployment's times and amounts, see ``terms.read_terms``. ``measured``: by node address.

    ``paces``: by model name. ``now``: the chain's time, Unix seconds.
    """

    archive: ChainArchive
    terms: Mapping[str, Any]
    offered: Callable[[], Sequence[OfferedModel]]
    measured: Callable[[], Mapping[str, Measurement]]
    paces: Callable[[], Mapping[str, Pace]]
    now: Callable[[], int]
