"""How a distiller works, and what it says while it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from nexus_chain.distillation.distiller.distillation_journal import AskAgainPolicy
from nexus_chain.distillation.distiller.result import DistillationResult
from nexus_chain.distillation.distiller.weights import ConfidenceWeights


@dataclass(frozen=True)
class DistillationOptions:
    """``ahead``: requests of a batch that are asked before the first of them is decided.

    ``patience``: seconds that a request waits for its sources.
    """

    weights: ConfidenceWeights = field(default_factory=ConfidenceWeights)
    ask_again: AskAgainPolicy = field(default_factory=AskAgainPolicy)
    ahead: int = 4
    patience: float = 600.0


@dataclass(frozen=True)
class BatchProgress:
    """``resumed``: of the ``done`` ones, those that the journal had decided.

    ``cost_usd``: of the answers behind the results so far, whenever they were paid; see the journal's ``costs``.
    """

    done: int
    total: int
    resumed: int
    cost_usd: Decimal
    result: DistillationResult
