"""Asking in parallel, judging, choosing, and going on after whatever came between."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.distillation.distiller.asking import ParallelAsking
from nexus_chain.distillation.distiller.claims import MathematicsProblem
from nexus_chain.distillation.distiller.distillation_journal import AskAgainPolicy, DistillationJournal
from nexus_chain.distillation.distiller.distiller import SILENT_REQUESTS, AutonomousDistiller
from nexus_chain.distillation.distiller.errors import (
    DistillationRequestError,
    NoSourceAnsweredError,
    SourceError,
)
from nexus_chain.distillation.distiller.options import BatchProgress, DistillationOptions
from nexus_chain.distillation.distiller.proof import proof_root
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.result import DistillationResult, SourceFailure
from nexus_chain.distillation.distiller.source_record import SourceHistory, SourceRecord
from nexus_chain.distillation.distiller.weights import ConfidenceWeights
from nexus_chain.distillation.judge.errors import ArtefactError, JudgeError, SolverError
from nexus_chain.distillation.judge.sandbox.errors import SandboxUnavailableError
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict
from tests.support.arithmetic_tasks import ScriptedSource

RIGHT = "4"


class Marks:
    """A judge that proves RIGHT, refutes other numbers, and knows nothing else."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def judge(self, claim: Mapping[str, Any]) -> Verdict:
        self.seen.append(claim["response"])
        if claim["response"] == RIGHT:
            artefact = Artefact("equal", "(assert false)(check-sat)")
            return Verdict(Kind.MATHEMATICS, Outcome.PROVED, "It.", "Both agree.", artefacts=(artefact,))
        if claim["response"].isdigit():
            return Verdict(Kind.MATHEMATICS, Outcome.REFUTED, "It.", "They differ.", {"x": "1"})
        if claim["response"] == "broken":
            raise ArtefactError("the claim is no claim", advice="x")
        if claim["response"] in ("solvers", "sandbox"):
            raise (SolverError if claim["response"] == "solvers" else SandboxUnavailableError)("none", advice="x")
        return Verdict(Kind.MATHEMATICS, Outcome.UNKNOWN, "It.", "Nobody knows.")


class Counting:
    """Replies, by source; counts who was asked what."""

    def __init__(self, replies: Mapping[str, Callable[[str], str] | str], **fields: Any) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.sources = [ScriptedSource(name, self._counted(name, reply), **fields) for name, reply in replies.items()]

    def _counted(self, name: str, reply: Callable[[str], str] | str) -> Callable[[str], str]:
        def answer(prompt: str) -> str:
            self.asked[name, prompt] += 1
            return reply if isinstance(reply, str) else reply(prompt)

        return answer


def request(prompt: str = "2+2", mode: str = "formal", **fields: Any) -> DistillationRequest:
    given = {"verification_mode": mode, "category": "math", "problem": MathematicsProblem("2+2"), **fields}
    return DistillationRequest(prompt, **given)


@contextmanager
def distiller(folder: Path, teachers: Counting, judge: Any = None, **fields: Any) -> Iterator[AutonomousDistiller]:
    record = SourceRecord(folder / "record")
    try:
        with (
            DistillationJournal(folder / "journal") as journal,
            AutonomousDistiller(
                teachers.sources, judge or Marks(), record, journal, clock=lambda: 9.0, **fields
            ) as one,
        ):
            yield one
    finally:
        record.close()


def refuse(message: str = "the key is wrong", *, maybe_paid: bool = False) -> Callable[[str], str]:
    def reply(prompt: str) -> str:
        raise SourceError(message, advice="x", maybe_paid=maybe_paid)

    return reply


def crash(prompt: str) -> str:
    raise RuntimeError("https://example.org/?key=sk-secret")


def test_the_proved_answer_is_taken_with_its_proof(tmp_path: Path) -> None:
    teachers = Counting({"a": "5", "b": RIGHT, "c": "5", "d": "five"})
    with distiller(tmp_path, teachers) as one:
        result = one.distill(request())
    assert (result.best_response, result.best_source) == (RIGHT, "b")
    assert result.verification_proof == proof_root(Marks().judge({"response": RIGHT}))
    assert [score.outcome for score in result.all_scores] == ["refuted", "proved", "refuted", "unknown"]
    assert (result.timestamp, result.cost_usd) == (9.0, Decimal("0.04"))
    assert result.confidence == pytest.approx(0.5 + 0.2 * SourceHistory().score)


def test_nothing_is_taken_that_is_not_proved(tmp_path: Path) -> None:
    with distiller(tmp_path, Counting({"a": "5", "b": "five"})) as one:
        formal, hybrid = one.distill(request()), one.distill(request(mode="hybrid"))
    assert (formal.best_response, formal.best_source, formal.confidence, formal.verification_proof) == (
        None,
        None,
        0,
        None,
    )
    assert formal.explanation == "No answer is taken: none of 2 is proved, and 1 are refuted or vacuous."
    assert (hybrid.best_response, hybrid.verification_proof) == ("five", None)


def test_without_a_judge_agreement_decides_and_nobody_is_judged(tmp_path: Path) -> None:
    judge = Marks()
    with distiller(tmp_path, Counting({"a": RIGHT, "b": "5", "c": "5"}), judge) as one:
        result = one.distill(request(mode="consistency"))
    assert (result.best_response, judge.seen, result.verification_proof) == ("5", [], None)
    assert not any(score.formal_verification_passed or score.outcome for score in result.all_scores)


def test_sources_are_asked_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for all others; one after the other none would ever answer."""
    together = threading.Barrier(4)

    def reply(prompt: str) -> str:
        together.wait(60)
        return RIGHT

    with distiller(tmp_path, Counting(dict.fromkeys("abcd", reply))) as one:
        assert not one.distill(request()).failures


def test_a_source_that_fails_is_reported_and_fails_nobody_else(tmp_path: Path) -> None:
    replies = {"a": crash, "b": RIGHT, "c": refuse(), "d": " \n", "e": "x" * 200_001, "f": "\udcff"}
    with distiller(tmp_path, Counting(replies)) as one:
        result = one.distill(request())
    assert result.best_source == "b"
    assert {failure.source: failure.reason for failure in result.failures} == {
        "a": "It failed with RuntimeError.",
        "c": "The key is wrong.",
        "d": "The answer of d is empty.",
        "e": "The answer of e is longer than 200000 characters.",
        "f": "The answer of f is no Unicode text.",
    }


def test_no_secret_of_a_foreign_error_is_kept(tmp_path: Path) -> None:
    with distiller(tmp_path, Counting({"a": crash})) as one, pytest.raises(NoSourceAnsweredError) as caught:
        one.distill(request())
    assert "sk-secret" not in str(caught.value)
    assert b"sk-secret" not in (tmp_path / "journal").read_bytes()


def test_a_source_that_does_not_answer_in_time_is_left_behind_and_its_answer_kept(tmp_path: Path) -> None:
    done = threading.Event()

    def reply(prompt: str) -> str:
        done.wait(60)
        return RIGHT

    teachers = Counting({"a": reply, "b": RIGHT})
    with DistillationJournal(tmp_path / "journal") as journal:
        asking = ParallelAsking(teachers.sources, journal, AskAgainPolicy(), at_once=1, patience=0)
        asked = asking.start(request(), teachers.sources)
        asked["b"].result()
        answers, failures = asking.collect(asked)
        done.set()
        asking.close()
    assert [answer.source for answer in answers] == ["b"]
    assert failures == (SourceFailure("a", "It did not answer within 0 s."),)
    with distiller(tmp_path, teachers) as one:  # it was paid for, so it was kept
        assert not one.distill(request()).failures
    assert set(teachers.asked.values()) == {1}


def test_nobody_answers(tmp_path: Path) -> None:
    with (
        distiller(tmp_path, Counting({"a": refuse(), "b": refuse("no money is left")})) as one,
        pytest.raises(NoSourceAnsweredError, match=r"a: The key is wrong\. b: No money is left"),
    ):
        one.distill(request())


def test_what_was_not_paid_is_asked_again_and_what_may_have_been_is_not(tmp_path: Path) -> None:
    teachers = Counting({"a": refuse(), "b": refuse(maybe_paid=True), "c": crash, "d": "  "})
    for _ in range(2):
        with distiller(tmp_path, teachers) as one, pytest.raises(NoSourceAnsweredError):
            one.distill(request())
    assert teachers.asked == {("a", "2+2"): 2, ("b", "2+2"): 1, ("c", "2+2"): 1, ("d", "2+2"): 1}


def test_a_request_without_an_answer_stays_open_while_a_source_failed(tmp_path: Path) -> None:
    ready = threading.Event()

    def late(prompt: str) -> str:
        return RIGHT if ready.is_set() else refuse("it is busy")(prompt)

    teachers = Counting({"a": late, "b": "5"})
    with distiller(tmp_path, teachers) as one:
        assert one.distill(request()).best_source is None
    ready.set()
    with distiller(tmp_path, teachers) as one:
        assert [one.distill(request()).best_source for _ in range(2)] == ["a", "a"]
    assert teachers.asked == {("a", "2+2"): 2, ("b", "2+2"): 1}


def test_a_request_chooses_who_is_asked(tmp_path: Path) -> None:
    teachers = Counting({"a": RIGHT, "b": RIGHT})
    teachers.sources[0] = replace(teachers.sources[0], is_local=True)
    with distiller(tmp_path, teachers) as one:
        assert one.distill(request(use_teachers=False)).best_source == "a"
        assert one.distill(request(use_local=False, mode="hybrid")).best_source == "b"
    with distiller(tmp_path, Counting({"a": RIGHT})) as one, pytest.raises(DistillationRequestError, match="no source"):
        one.distill(request(use_teachers=False))


@pytest.mark.parametrize("names", [[], ["a", "a"], [" "]])
def test_sources_without_names_of_their_own_are_refused(tmp_path: Path, names: list[str]) -> None:
    teachers = Counting({})
    teachers.sources = [ScriptedSource(name, str) for name in names]
    with pytest.raises(DistillationRequestError, match="names"), distiller(tmp_path, teachers):
        pass


@pytest.mark.parametrize("fields", [{"ahead": 0}, {"patience": -1.0}, {"patience": float("nan")}])
def test_options_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(DistillationRequestError, match="out of range"):
        DistillationOptions(**fields)


def test_equal_claims_are_judged_once_and_never_again(tmp_path: Path) -> None:
    judge, teachers = Marks(), Counting({"a": RIGHT, "b": "5", "c": "5"})
    for weights in (ConfidenceWeights(), ConfidenceWeights(0.6, 0.2, 0.2)):
        with distiller(tmp_path, teachers, judge, options=DistillationOptions(weights)) as one:
            one.distill(request())
    assert sorted(judge.seen) == [RIGHT, "5"]
    assert set(teachers.asked.values()) == {1}


def test_a_claim_that_cannot_be_judged_is_unknown(tmp_path: Path) -> None:
    with distiller(tmp_path, Counting({"a": "broken", "b": RIGHT})) as one:
        first, second = one.distill(request()).all_scores
    assert (first.outcome, second.outcome) == ("unknown", "proved")
    assert "the claim is no claim" in first.explanation


@pytest.mark.parametrize(("missing", "error"), [("solvers", SolverError), ("sandbox", SandboxUnavailableError)])
def test_where_nothing_can_be_judged_nothing_is_decided(tmp_path: Path, missing: str, error: type[JudgeError]) -> None:
    teachers = Counting({"a": missing, "b": RIGHT})
    for _ in range(2):
        with distiller(tmp_path, teachers) as one, pytest.raises(error):
            one.distill(request())
    assert set(teachers.asked.values()) == {1}, "the answers are kept"


def test_the_record_follows_the_judge_and_nothing_else(tmp_path: Path) -> None:
    teachers = Counting({"a": RIGHT, "b": "5", "c": "5", "d": "?"})
    requests = [request(f"2+2 ({number})") for number in range(3)]
    with distiller(tmp_path, teachers) as one:
        one.distill_batch(requests)
        one.distill_batch(requests)
        one.distill(request("2+2 (9)", mode="consistency"))
    record = SourceRecord(tmp_path / "record")
    found = {name: record.history(name, "math") for name in "abcd"}
    record.close()
    wrong = SourceHistory(0, 3)
    assert found == {"a": SourceHistory(3, 0), "b": wrong, "c": wrong, "d": SourceHistory()}


def test_a_batch_is_asked_ahead_and_answered_in_order(tmp_path: Path) -> None:
    """The first answer waits for the third request to be asked."""
    third = threading.Event()

    def reply(prompt: str) -> str:
        (third.set if prompt == "2" else lambda: third.wait(60) if prompt == "0" else None)()
        return RIGHT

    told: list[BatchProgress] = []
    with distiller(tmp_path, Counting({"a": reply})) as one:
        results = one.distill_batch([request(str(number)) for number in range(5)], told.append)
    assert [progress.result for progress in told] == results
    assert [(progress.done, progress.total, progress.resumed) for progress in told] == [(n, 5, 0) for n in range(1, 6)]
    assert told[-1].cost_usd == Decimal("0.05")
    confidences = [result.confidence for result in results]
    assert confidences == sorted(confidences), "the record grows in the order of the requests"


def test_a_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    judge, teachers = Marks(), Counting({"a": RIGHT, "b": "5"})
    requests = [request(str(number)) for number in range(6)]
    seen: list[DistillationResult] = []

    def stop(progress: BatchProgress) -> None:
        seen.append(progress.result)
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), distiller(tmp_path, teachers, judge) as one:
        one.distill_batch(requests, stop)
    told: list[BatchProgress] = []
    with distiller(tmp_path, teachers, judge) as one:
        results = one.distill_batch(requests, told.append)
    assert results[:2] == seen
    assert [progress.resumed for progress in told] == [1, 2, 2, 2, 2, 2]
    assert len(teachers.asked) == 12
    assert set(teachers.asked.values()) == {1}
    with distiller(tmp_path / "whole", teachers) as one:
        assert results == one.distill_batch(requests), "an interruption changes no result"


def test_the_same_prompt_is_asked_once_however_often_it_is_wanted(tmp_path: Path) -> None:
    teachers = Counting({"a": RIGHT, "b": "5"})
    wanted = [request(), request(), request(mode="hybrid"), request(mode="consistency"), request(category="logic")]
    with distiller(tmp_path, teachers) as one:
        one.distill_batch(wanted)
    assert set(teachers.asked.values()) == {1}


def test_another_source_is_asked_alone_when_it_comes(tmp_path: Path) -> None:
    teachers = Counting({"a": "5", "b": RIGHT})
    everybody = teachers.sources
    teachers.sources = everybody[:1]
    with distiller(tmp_path, teachers) as one:
        assert one.distill(request()).best_source is None
    teachers.sources = everybody
    with distiller(tmp_path, teachers) as one:
        assert one.distill(request()).best_source == "b"
    assert set(teachers.asked.values()) == {1}


def test_one_request_that_nobody_answers_ends_no_batch(tmp_path: Path) -> None:
    refusing, told = {"1", "3"}, list[BatchProgress]()

    def reply(prompt: str) -> str:
        return refuse()(prompt) if prompt in refusing else RIGHT

    teachers, requests = Counting({"a": reply}), [request(str(number)) for number in range(5)]
    with distiller(tmp_path, teachers) as one:
        results = one.distill_batch(requests, told.append)
    assert [result.best_source for result in results] == ["a", None, "a", None, "a"]
    assert results[1].explanation == "Nobody answered. a: The key is wrong."
    refusing.clear()
    with distiller(tmp_path, teachers) as one:
        assert [result.best_source for result in one.distill_batch(requests)] == ["a"] * 5


def test_a_batch_ends_when_nobody_answers_any_more(tmp_path: Path) -> None:
    teachers = Counting({"a": refuse("no money is left")})
    requests = [request(str(number)) for number in range(50)]
    with distiller(tmp_path, teachers) as one, pytest.raises(NoSourceAnsweredError, match="No money is left"):
        one.distill_batch(requests)
    assert len(teachers.asked) <= SILENT_REQUESTS + DistillationOptions().ahead


def test_lost_answers_end_no_batch(tmp_path: Path) -> None:
    """Where a crash lost the answers to more requests than may be silent, the others are asked all the same."""
    teachers, requests = Counting({"a": RIGHT}), [request(str(number)) for number in range(SILENT_REQUESTS + 3)]
    with DistillationJournal(tmp_path / "journal") as journal:
        for lost in requests[: SILENT_REQUESTS + 1]:
            journal.begin(lost.question, teachers.sources[0], DistillationOptions().ask_again)
    with distiller(tmp_path, teachers) as one:
        results = one.distill_batch(requests)
    assert [result.best_source for result in results] == [None] * (SILENT_REQUESTS + 1) + ["a", "a"]
    assert results[0].failures[0].asked_before


def test_a_result_is_read_back_as_it_was(tmp_path: Path) -> None:
    teachers = Counting({"a": RIGHT, "b": "5", "c": refuse(), "d": "?"})
    with distiller(tmp_path, teachers) as one:
        first = one.distill(request())
        assert one.distill(request()) == first
    assert first.all_scores[1].is_ruled_out
