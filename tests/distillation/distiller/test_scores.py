"""Weights, the table of scores, and what no liar can change in it."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.distillation.distiller.agreement import ExactAgreement
from nexus_chain.distillation.distiller.errors import DistillationRequestError
from nexus_chain.distillation.distiller.request import VerificationMode
from nexus_chain.distillation.distiller.result import ResponseScore
from nexus_chain.distillation.distiller.scoring import scores_of
from nexus_chain.distillation.distiller.selection import choice_words, select_best
from nexus_chain.distillation.distiller.source import GivenAnswer
from nexus_chain.distillation.distiller.source_record import SourceHistory
from nexus_chain.distillation.distiller.weights import ConfidenceWeights
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict

FORMAL, CONSISTENCY, HYBRID = VerificationMode
#: What the judge may say of an answer; None: it was not asked.
SAID = ("proved", "refuted", "unknown", "vacuous")
NOBODY = SourceHistory().score


def verdict(said: str) -> Verdict:
    proved = (Artefact("all", "(check-sat)"),) if said in ("proved", "vacuous") else ()
    outcome = Outcome.PROVED if proved else Outcome(said)
    return Verdict(Kind.MATHEMATICS, outcome, "Checked.", f"It is {said}.", artefacts=proved, vacuous=said == "vacuous")


Entry = tuple[str, str, str, str, SourceHistory]
"""Source, provider, text, what the judge said, history."""


def table(entries: list[Entry], *, judged: bool = True) -> tuple[ResponseScore, ...]:
    return scores_of(
        [GivenAnswer(source, provider, text, Decimal(0)) for source, provider, text, _, _ in entries],
        {source: verdict(said) for source, _, _, said, _ in entries} if judged else {},
        {source: history for source, _, _, _, history in entries},
        ExactAgreement(),
        ConfidenceWeights(),
    )


def entry(source: str, text: str, said: str = "unknown", provider: str = "", proved: int = 0, bad: int = 0) -> Entry:
    return (source, provider or source, text, said, SourceHistory(proved, bad))


@pytest.mark.parametrize(
    "three", [(0.5, 0.3, 0.1), (1.2, -0.1, -0.1), (math.nan, 0.5, 0.5), (math.inf, 0, 0), (0, 0, 0)]
)
def test_weights_that_are_none_are_refused(three: tuple[float, float, float]) -> None:
    with pytest.raises(DistillationRequestError, match="do not sum to 1"):
        ConfidenceWeights(*three)


def test_weights_may_be_chosen() -> None:
    assert ConfidenceWeights(0.8, 0.1, 0.1).confidence(proved=True, consistency=0.5, history=0) == pytest.approx(0.85)
    assert ConfidenceWeights(1, 0, 0).confidence(proved=False, consistency=1, history=1) == 0


def test_a_confidence_is_the_weighted_sum() -> None:
    best, other, liar = table(
        [entry("a", "4", "proved", proved=8, bad=1), entry("b", "4", "proved"), entry("c", "5", "refuted")]
    )
    history = SourceHistory(8, 1).score
    assert (best.consistency_score, best.historical_accuracy) == (1, history)
    assert best.confidence == pytest.approx(0.5 + 0.3 + 0.2 * history)
    assert other.confidence == pytest.approx(0.5 + 0.3 + 0.2 * NOBODY)
    assert liar.confidence == pytest.approx(0.2 * NOBODY)
    assert [score.formal_verification_passed for score in (best, other, liar)] == [True, True, False]


def test_every_score_is_explained_in_a_sentence() -> None:
    scores = table(
        [
            entry("a", "4", "proved", proved=8, bad=1),
            entry("b", "?"),
            entry("c", "5", "refuted"),
            entry("d", "6", "vacuous"),
        ]
    )
    assert [score.explanation.split(";")[0] for score in scores] == [
        "It is proved (It is proved)",
        "The judge cannot decide it (It is unknown)",
        "It is refuted (It is refuted)",
        "Its guards contradict each other, so it says nothing",
    ]
    assert "8 of its 9 judged answers were proved" in scores[0].explanation
    assert "none of its answers was judged" in scores[1].explanation
    assert all(score.explanation.endswith(f"confidence is {score.confidence:.2f}.") for score in scores)


def test_only_proved_answers_vouch_for_a_proved_one() -> None:
    (proved, *_) = table(
        [entry("a", "4", "proved"), entry("b", "4"), entry("c", "4", "refuted"), entry("d", "9", "proved")]
    )
    assert proved.consistency_score == 0


def test_two_who_say_the_same_wrong_thing_outvote_nobody() -> None:
    scores = table(
        [entry("a", "4", "proved"), entry("b", "5", "refuted", proved=100), entry("c", "5", "refuted", proved=100)]
    )
    for mode in (FORMAL, HYBRID):
        best = select_best(scores, mode)
        assert best is not None
        assert best.source == "a"
    best = select_best(table([entry("a", "4"), entry("b", "5"), entry("c", "5")], judged=False), CONSISTENCY)
    assert best is not None
    assert best.source == "b", "without a judge, agreement decides: that is what the mode says"


@pytest.mark.parametrize(
    ("said", "formal", "hybrid"),
    [
        (["proved", "unknown", "refuted"], "a", "a"),
        (["unknown", "refuted", "refuted"], None, "a"),
        (["refuted", "refuted", "proved"], "c", "c"),
        (["refuted", "vacuous", "refuted"], None, None),
        (["vacuous", "refuted", "unknown"], None, "c"),
        (["unknown", "unknown", "proved"], "c", "c"),
    ],
)
def test_which_answer_is_taken(said: list[str], formal: str | None, hybrid: str | None) -> None:
    """Answers b and c agree, b has the best record; neither matters against the judge."""
    texts, proved = ("1", "2", "2"), (0, 500, 0)
    scores = table([entry("abc"[i], texts[i], said[i], proved=proved[i]) for i in range(3)])
    for mode, expected in ((FORMAL, formal), (HYBRID, hybrid)):
        best = select_best(scores, mode)
        assert (best.source if best else None) == expected
        assert choice_words(best, scores, mode).startswith("No answer" if best is None else f"The answer of {expected}")


answers = st.lists(
    st.builds(
        lambda provider, text, said, proved, bad: (provider, text, said, SourceHistory(proved, bad)),
        st.sampled_from("pqr"),
        st.sampled_from("123"),
        st.sampled_from(SAID),
        st.integers(0, 50),
        st.integers(0, 50),
    ),
    min_size=1,
    max_size=6,
).map(lambda many: [(f"s{number}", *one) for number, one in enumerate(many)])


@given(answers)
def test_a_refuted_answer_is_never_taken(entries: list[Entry]) -> None:
    scores = table(entries)
    by_source = {source: said for source, _, _, said, _ in entries}
    formal, hybrid = select_best(scores, FORMAL), select_best(scores, HYBRID)
    said = set(by_source.values())
    assert (by_source[formal.source] if formal else None) == ("proved" if "proved" in said else None)
    best = "proved" if "proved" in said else "unknown" if "unknown" in said else None
    assert (by_source[hybrid.source] if hybrid else None) == best


@given(answers, st.permutations(range(6)))
def test_the_order_of_sources_changes_nothing(entries: list[Entry], order: list[int]) -> None:
    shuffled = [entries[index] for index in order if index < len(entries)]
    for judged in (True, False):
        assert table(shuffled, judged=judged) == table(entries, judged=judged)


@given(
    answers, st.lists(st.tuples(st.sampled_from("pqrz"), st.sampled_from("123"), st.sampled_from(SAID[1:])), max_size=4)
)
def test_liars_never_flip_a_proved_choice(entries: list[Entry], liars: list[tuple[str, str, str]]) -> None:
    """Whatever names, providers, texts and records they have, and although the judge may not catch them."""
    crowd = [*entries, *((f"{'as'[n % 2]}-liar{n}", *liar, SourceHistory(10**6, 0)) for n, liar in enumerate(liars))]
    for mode in (FORMAL, HYBRID):
        before, after = select_best(table(entries), mode), select_best(table(crowd), mode)
        if before is not None and before.formal_verification_passed:
            assert after == before


@given(answers)
def test_scores_are_shares(entries: list[Entry]) -> None:
    for judged in (True, False):
        for score in table(entries, judged=judged):
            assert 0 <= score.confidence <= 1
            assert 0 <= score.consistency_score <= 1
            assert score.confidence <= 0.5 or score.formal_verification_passed


def test_equals_are_told_apart_by_record_and_then_by_name() -> None:
    (one,) = table([entry("b", "1")])
    tied = [one, replace(one, source="a"), replace(one, source="c", historical_accuracy=0.9)]
    assert [select_best(scores, HYBRID) for scores in (tied, tied[::-1])] == [tied[2], tied[2]]
    assert select_best(tied[:2], HYBRID) == tied[1]
