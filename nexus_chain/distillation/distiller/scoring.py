"""A score and a sentence for each answer.

Whose voice an answer's agreement counts depends on what the judge said: where answers were judged, an answer is
compared with those that fared no worse. A proved answer is compared with proved ones only, and one that is not
refuted is never compared with a refuted one. So a liar whom the judge catches, or cannot follow, moves no score of
a proved answer, however many names he has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_chain.distillation.distiller.agreement import Agreement, agreement_of
from nexus_chain.distillation.distiller.result import ResponseScore
from nexus_chain.distillation.distiller.source import GivenAnswer
from nexus_chain.distillation.distiller.source_record import SourceHistory
from nexus_chain.distillation.distiller.weights import ConfidenceWeights
from nexus_chain.distillation.judge.verdict import Outcome, Verdict

_PROVED, _OPEN, _RULED_OUT = 2, 1, 0
_WORDS = {
    Outcome.PROVED: "It is proved",
    Outcome.REFUTED: "It is refuted",
    Outcome.UNKNOWN: "The judge cannot decide it",
}


def scores_of(
    answers: Sequence[GivenAnswer],
    verdicts: Mapping[str, Verdict],
    histories: Mapping[str, SourceHistory],
    agreement: Agreement,
    weights: ConfidenceWeights,
) -> tuple[ResponseScore, ...]:
    """A score for each of ``answers``, in the order of their sources' names.

    ``verdicts``: by source; empty where no judge is asked. ``histories``: by source.
    """
    ordered = sorted(answers, key=lambda answer: answer.source)
    ranks = [_rank(verdicts.get(answer.source)) for answer in ordered]
    alike = agreement.likeness([answer.text for answer in ordered])
    scores = []
    for index, answer in enumerate(ordered):
        heard = [rank >= ranks[index] for rank in ranks]
        consistency = agreement_of(index, ordered, heard, alike)
        verdict, history = verdicts.get(answer.source), histories[answer.source]
        scores.append(_score(answer, verdict, consistency, history, weights))
    return tuple(scores)


def _rank(verdict: Verdict | None) -> int:
    if verdict is None:
        return _OPEN
    if verdict.outcome is Outcome.REFUTED or verdict.vacuous:
        return _RULED_OUT
    return _PROVED if verdict.outcome is Outcome.PROVED else _OPEN


def _score(
    answer: GivenAnswer,
    verdict: Verdict | None,
    consistency: float,
    history: SourceHistory,
    weights: ConfidenceWeights,
) -> ResponseScore:
    proved = _rank(verdict) == _PROVED
    confidence = weights.confidence(proved=proved, consistency=consistency, history=history.score)
    return ResponseScore(
        response=answer.text,
        source=answer.source,
        confidence=confidence,
        formal_verification_passed=proved,
        consistency_score=consistency,
        historical_accuracy=history.score,
        explanation=_explanation(verdict, consistency, history, confidence),
        outcome=None if verdict is None else verdict.outcome,
        vacuous=verdict is not None and verdict.vacuous,
    )


def _explanation(verdict: Verdict | None, consistency: float, history: SourceHistory, confidence: float) -> str:
    """One sentence: what the judge said, who agrees, what the record is, and what comes of it."""
    judged = history.proved + history.refuted
    record = (
        f"{history.proved} of its {judged} judged answers were proved" if judged else "none of its answers was judged"
    )
    return (
        f"{_judged_words(verdict)}; agreement with other providers is {consistency:.2f}; "
        f"{record}, a score of {history.score:.2f}; confidence is {confidence:.2f}."
    )


def _judged_words(verdict: Verdict | None) -> str:
    if verdict is None:
        return "It was not judged"
    if verdict.vacuous:
        return "Its guards contradict each other, so it says nothing"
    reason = verdict.reason.strip().rstrip(".")
    return f"{_WORDS[verdict.outcome]} ({reason})" if reason else _WORDS[verdict.outcome]
