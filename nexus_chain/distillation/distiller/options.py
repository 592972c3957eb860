"""How a distiller works, and what it says while it does."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal

from nexus_chain.distillation.distiller.distillation_journal import AskAgainPolicy
from nexus_chain.distillation.distiller.errors import DistillationRequestError
from nexus_chain.distillation.distiller.result import DistillationResult
from nexus_chain.distillation.distiller.weights import ConfidenceWeights


@dataclass(frozen=True)
class DistillationOptions:
    """``ahead``: requests of a batch that are asked before the first of them is decided, at least 1.

    As many can lose their answers when the process is killed. ``patience``: seconds that a request waits for its
    sources. Raises DistillationRequestError.
    """

    weights: ConfidenceWeights = field(default_factory=ConfidenceWeights)
    ask_again: AskAgainPolicy = field(default_factory=AskAgainPolicy)
    ahead: int = 4
    patience: float = 600.0

    def __post_init__(self) -> None:
        if self.ahead < 1 or not (math.isfinite(self.patience) and self.patience >= 0):
            raise DistillationRequestError("ahead or patience is out of range", advice="Give 1 or more, and 0 or more.")


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
