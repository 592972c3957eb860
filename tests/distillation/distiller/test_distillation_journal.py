"""What the journal gives leave to ask, what it keeps, and what it cannot know."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from nexus_chain.distillation.distiller.distillation_journal import AskAgainPolicy, AskingCosts, DistillationJournal
from nexus_chain.distillation.distiller.errors import AskedBeforeError, DistillationJournalError
from nexus_chain.distillation.distiller.kept_verdicts import KeptVerdict
from nexus_chain.distillation.distiller.request import DistillationRequest
from nexus_chain.distillation.distiller.source import SourceAnswer
from nexus_chain.distillation.judge.verdict import Artefact, Enumeration, Kind, Outcome, Verdict
from tests.support.arithmetic_tasks import ScriptedSource

PAID = ScriptedSource("paid", str)
FREE = ScriptedSource("free", str, is_free=True)
NEVER, ALWAYS = AskAgainPolicy(), AskAgainPolicy(after_crash=True, after_failure=True)
ANSWER = SourceAnswer("4", Decimal("0.0123"), 12, 3.5)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[DistillationJournal]:
    with DistillationJournal(tmp_path / "journal.sqlite3", clock=lambda: 5.0) as opened:
        yield opened


def test_an_answer_is_known_from_then_on(tmp_path: Path) -> None:
    with DistillationJournal(tmp_path / "journal") as journal:
        assert journal.begin("q", PAID, NEVER) is None
        journal.answered("q", "paid", ANSWER)
    with DistillationJournal(tmp_path / "journal") as journal:
        assert journal.begin("q", PAID, ALWAYS) == ANSWER
        assert journal.begin("q", FREE, NEVER) is None
        assert journal.begin("other", PAID, NEVER) is None


def test_what_was_asked_and_never_answered_is_not_asked_again(journal: DistillationJournal) -> None:
    journal.begin("q", PAID, NEVER)
    for _ in range(2):
        with pytest.raises(AskedBeforeError, match="paid was asked before the program ended") as caught:
            journal.begin("q", PAID, AskAgainPolicy(after_failure=True))
        assert caught.value.maybe_paid
    assert journal.costs() == AskingCosts(Decimal(0), answered=0, failed=0, lost=1)


def test_it_is_asked_again_where_the_policy_says_so_and_the_loss_is_counted(journal: DistillationJournal) -> None:
    journal.begin("q", PAID, NEVER)
    assert journal.begin("q", PAID, AskAgainPolicy(after_crash=True)) is None
    journal.answered("q", "paid", ANSWER)
    assert journal.costs() == AskingCosts(Decimal("0.0123"), answered=1, failed=0, lost=1)


def test_a_free_source_is_asked_again(journal: DistillationJournal) -> None:
    assert [journal.begin("q", FREE, NEVER) for _ in range(3)] == [None] * 3


@pytest.mark.parametrize("maybe_paid", [True, False])
def test_a_failure_that_may_have_been_paid_is_not_repeated(journal: DistillationJournal, maybe_paid: bool) -> None:
    journal.begin("q", PAID, NEVER)
    journal.failed("q", "paid", "It was busy.", maybe_paid=maybe_paid, cost_usd=Decimal("0.02"))
    if maybe_paid:
        with pytest.raises(AskedBeforeError, match="failed: It was busy"):
            journal.begin("q", PAID, AskAgainPolicy(after_crash=True))
    assert journal.begin("q", PAID, AskAgainPolicy(after_failure=maybe_paid)) is None
    journal.answered("q", "paid", ANSWER)
    assert journal.costs() == AskingCosts(Decimal("0.0323"), answered=1, failed=0, lost=0)


def test_costs_are_exact(journal: DistillationJournal) -> None:
    for number in range(10):
        journal.begin(str(number), PAID, NEVER)
        journal.answered(str(number), "paid", SourceAnswer("x", Decimal("0.1"), 1, 1.0))
    assert journal.costs().cost_usd == 1


def test_each_source_has_its_bill(journal: DistillationJournal) -> None:
    for source, number in ((PAID, 3), (FREE, 1)):
        for question in range(number):
            journal.begin(str(question), source, NEVER)
            journal.answered(str(question), source.name, ANSWER)
    journal.begin("lost", PAID, NEVER)
    free, paid = journal.bills()
    assert (free.source, free.provider, free.costs.answered) == ("free", "free", 1)
    assert paid.costs == AskingCosts(Decimal("0.0369"), answered=3, failed=0, lost=1)
    assert journal.costs().cost_usd == free.costs.cost_usd + paid.costs.cost_usd


def kept(source: str, request: str = "r", claim: str = '{"kind":"mathematics"}', *texts: str) -> KeptVerdict:
    artefacts = tuple(Artefact(f"part {number}", text) for number, text in enumerate(texts))
    outcome = Outcome.PROVED if texts else Outcome.REFUTED
    example = {} if texts else {"x": "-7"}
    verdict = Verdict(Kind.MATHEMATICS, outcome, "All of it.", "So.", example, artefacts, vacuous=len(texts) == 2)
    return KeptVerdict(request, source, claim, verdict)


def test_verdicts_come_back_with_their_obligations(journal: DistillationJournal) -> None:
    one = [
        kept("b", "r", "{}", "(check-sat)", "(assert true)(check-sat)"),
        kept("a"),
        kept("c", "r", "{}", "(check-sat)"),
    ]
    journal.verdicts.keep([*one, kept("a", "other")])
    assert list(journal.verdicts.of_requests(["r"])) == sorted(one, key=lambda verdict: verdict.source)
    assert [found.request for found in journal.verdicts.of_requests(["other", "absent", "r"])] == ["other", *"rrr"]


def test_a_domain_that_was_run_through_is_evidence_and_kept(journal: DistillationJournal) -> None:
    table = Enumeration("exhaustion", "x: int[0..3]", 4, "ab" * 32)
    verdict = Verdict(Kind.PYTHON, Outcome.PROVED, "All of it.", "So.", enumerations=(table,))
    journal.verdicts.keep([KeptVerdict("r", "a", "{}", verdict)])
    assert journal.verdicts.find("r", "a", "{}") == verdict


def test_a_verdict_is_found_for_the_very_claim(journal: DistillationJournal) -> None:
    journal.verdicts.keep([kept("a")])
    assert journal.verdicts.find("r", "a", '{"kind":"mathematics"}') == kept("a").verdict
    assert journal.verdicts.find("r", "a", "{}") is None
    journal.verdicts.keep([kept("a", "r", "{}", "(check-sat)")])
    assert journal.verdicts.find("r", "a", '{"kind":"mathematics"}') is None, "the latest stays"
    assert [found.claim for found in journal.verdicts.of_requests(["r"])] == ["{}"]


def test_a_decision_is_known_under_its_circumstances(journal: DistillationJournal) -> None:
    request = DistillationRequest("x", verification_mode="hybrid")
    assert journal.decided(request, "weights") is None
    journal.decide(request, "weights", "body")
    assert journal.decided(request, "weights") == "body"
    assert journal.decided(request, "other weights") is None
    assert journal.decided(DistillationRequest("x", verification_mode="consistency"), "weights") is None


def test_two_programs_do_not_share_a_journal(tmp_path: Path) -> None:
    busy = pytest.raises(DistillationJournalError, match="another program works with")
    with DistillationJournal(tmp_path / "journal"), busy:
        DistillationJournal(tmp_path / "journal")
    DistillationJournal(tmp_path / "journal").close()


def test_a_damaged_journal_is_named_and_let_go(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"\0" * 5000)
    for _ in range(2):
        with pytest.raises(DistillationJournalError, match="journal cannot be used"):
            DistillationJournal(tmp_path / "journal")


def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DistillationJournalError, match="cannot be used"):
        DistillationJournal(tmp_path / "file" / "journal")


def test_a_full_disk_is_said_before_anybody_is_asked(tmp_path: Path) -> None:
    DistillationJournal(tmp_path / "journal").close()
    with DistillationJournal(tmp_path / "journal") as journal:
        with journal._database.transaction() as database:
            (pages,) = database.execute("PRAGMA page_count").fetchone()
            database.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(DistillationJournalError, match="full"):
            _ = [journal.begin(str(number), PAID, NEVER) for number in range(1000)]


def test_the_disk_has_it_when_the_call_returns(tmp_path: Path) -> None:
    """WAL with a sync at every commit."""
    with DistillationJournal(tmp_path / "journal") as journal, journal._database.transaction() as database:
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with sqlite3.connect(tmp_path / "journal") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
