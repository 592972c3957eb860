"""What a request came to: every answer with its score, and the one that was taken."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from nexus_chain.distillation.judge.verdict import Outcome


@dataclass(frozen=True)
class ResponseScore:
    """See component 3 of the design for the first seven fields; numbers are 0..1.

    ``formal_verification_passed``: proved, and not vacuous. ``explanation``: one sentence. ``outcome``: the judge's;
    None where it was not asked. ``vacuous``: the judge found that the answer's guards contradict each other.
    """

    response: str
    source: str
    confidence: float
    formal_verification_passed: bool
    consistency_score: float
    historical_accuracy: float
    explanation: str
    outcome: Outcome | None = None
    vacuous: bool = False

    @property
    def is_ruled_out(self) -> bool:
        """Whether a mode that asks the judge may never take it."""
        return self.outcome is Outcome.REFUTED or self.vacuous


@dataclass(frozen=True)
class SourceFailure:
    """A source that gave no answer, and why in one sentence.

    ``asked_before``: it was not asked now, as an earlier run may have paid it.
    """

    source: str
    reason: str
    asked_before: bool = False


@dataclass(frozen=True)
class DistillationResult:
    """See component 3 of the design for the first six fields.

    ``best_response`` and ``best_source`` are None where no answer may be taken; ``confidence`` is 0 then.
    ``all_scores``: by source name. ``verification_proof``: the root of the evidence that proves the best answer (see
    ``proof_root``); None where it is not proved. ``timestamp``: seconds since 1970.
    ``explanation``: one sentence on the choice. ``failures``: by source name. ``cost_usd``: of these answers.
    """

    best_response: str | None
    best_source: str | None
    confidence: float
    all_scores: tuple[ResponseScore, ...]
    verification_proof: str | None
    timestamp: float
    explanation: str = ""
    failures: tuple[SourceFailure, ...] = ()
    cost_usd: Decimal = Decimal(0)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; the cost as a string, which is exact."""
        return {**asdict(self), "cost_usd": str(self.cost_usd)}

    @classmethod
    def from_json(cls, text: str) -> DistillationResult:
        """Inverse of ``json.dumps(to_dict())``."""
        values = json.loads(text)
        scores = tuple(
            ResponseScore(**{**score, "outcome": None if score["outcome"] is None else Outcome(score["outcome"])})
            for score in values["all_scores"]
        )
        failures = tuple(SourceFailure(**failure) for failure in values["failures"])
        cost = Decimal(values["cost_usd"])
        return cls(**{**values, "all_scores": scores, "failures": failures, "cost_usd": cost})
