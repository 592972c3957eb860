"""Which answer is taken.

Where a judge is asked, a proved answer goes before every other one, and a refuted or vacuous one is never taken.
Among equals the higher confidence decides, then the better record, then the source's name in the order of its
characters: the order in which answers arrive decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_chain.distillation.distiller.request import VerificationMode
from nexus_chain.distillation.distiller.result import ResponseScore


def select_best(scores: Sequence[ResponseScore], mode: VerificationMode) -> ResponseScore | None:
    """The score of the answer to take; None where the mode allows none."""
    allowed = [score for score in scores if _is_allowed(score, mode)]
    return min(allowed, key=_order) if allowed else None


def choice_words(best: ResponseScore | None, scores: Sequence[ResponseScore], mode: VerificationMode) -> str:
    """One sentence on why ``best`` was taken, or why nothing was."""
    if best is not None:
        how = "proved" if best.formal_verification_passed else "not proved, the best of those that may be taken"
        return f"The answer of {best.source} is {how}." if mode.is_judged else f"{best.source} has the best score."
    ruled_out = sum(score.is_ruled_out for score in scores)
    if mode is VerificationMode.FORMAL:
        return f"No answer is taken: none of {len(scores)} is proved, and {ruled_out} are refuted or vacuous."
    return f"No answer is taken: all {len(scores)} are refuted or vacuous."


def _is_allowed(score: ResponseScore, mode: VerificationMode) -> bool:
    if mode is VerificationMode.FORMAL:
        return score.formal_verification_passed
    return not (mode is VerificationMode.HYBRID and score.is_ruled_out)


def _order(score: ResponseScore) -> tuple[bool, float, float, str]:
    return (not score.formal_verification_passed, -score.confidence, -score.historical_accuracy, score.source)
