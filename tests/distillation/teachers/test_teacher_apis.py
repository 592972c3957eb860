"""Teachers asked together, patiently, and one after the other; the clock is the test's."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nexus_chain.distillation.backoff import Backoff
from nexus_chain.distillation.teachers.config import QuotaLimits, TeacherConfig
from nexus_chain.distillation.teachers.errors import (
    AllTeachersFailedError,
    CircuitOpenError,
    MoneySpentError,
    QuotaSpentError,
    RateSpentError,
    TeacherAnswerError,
    TeacherBusyError,
    TeacherConfigError,
    TeacherOutageError,
    TeacherPromptError,
    TeacherRejectionError,
    TeacherTimeoutError,
    UnknownTeacherError,
)
from nexus_chain.distillation.teachers.presets import TeacherProtocol
from nexus_chain.distillation.teachers.prices import to_cents
from nexus_chain.distillation.teachers.teacher_apis import TeacherAPIs
from tests.support.teacher_server import PRICED, TeacherServer, cut_off, says, silence, status, teacher_server

NOON = 1_796_040_000.0
"""2026-11-30 12:00 UTC."""
DAY = 86_400.0


@dataclass
class Hands:
    """A clock that only sleeping and ``pass_by`` move. ``slept``: seconds, each time."""

    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return NOON - 1000.0 + self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    pass_by: Callable[[float], None] = field(init=False)

    def __post_init__(self) -> None:
        def pass_by(seconds: float) -> None:
            self.seconds += seconds

        self.pass_by = pass_by


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def server() -> Iterator[TeacherServer]:
    with teacher_server(lambda prompt: "forty two") as found:
        yield found


@pytest.fixture
def other() -> Iterator[TeacherServer]:
    with teacher_server(lambda prompt: "another answer") as found:
        yield found


def apis(hands: Hands, configs: Sequence[TeacherConfig], **more: Any) -> TeacherAPIs:
    patience = Backoff(attempts=3, base=1.0, lot=lambda: 0.5)
    base = {"backoff": patience, "clock": hands.now, "wall_clock": hands.wall, "sleep": hands.sleep}
    return TeacherAPIs(configs, **{**base, **more})


def test_one_answer(server: TeacherServer, hands: Hands) -> None:
    with apis(hands, [server.config("it", **PRICED)]) as teachers:
        found = teachers.query_single("it", "What is 6 times 7?", system="Be brief.")
        assert (found.teacher, found.text, found.model, found.complete) == ("it", "forty two", "local", True)
        assert found.tokens_used == 5 + 2
        assert found.cost_usd == Decimal("0.0000325")  # 5 at 0.0025 and 2 at 0.01 for 1,000
        assert found.timestamp == NOON
        assert found.latency_ms > 0
        assert teachers.usage().cost_usd == found.cost_usd
        assert (teachers.usage("it").requests, teachers.usage("it").tokens) == (1, 7)


def test_all_are_asked_at_once(hands: Hands) -> None:
    """Each answers only when all have been asked."""
    together = threading.Barrier(3)

    def answer(prompt: str) -> str:
        together.wait(60)
        return prompt

    with teacher_server(answer) as server:
        configs = [server.config("a"), server.config("b", TeacherProtocol.ANTHROPIC), server.config("c")]
        with apis(hands, configs) as teachers:
            found = teachers.query_all("Hi")
    assert [one.teacher for one in found.responses] == ["a", "b", "c"]
    assert not found.failures


def test_answers_and_failures_are_both_reported(server: TeacherServer, other: TeacherServer, hands: Hands) -> None:
    other.always = status(500)
    with apis(hands, [other.config("bad"), server.config("good"), server.config("unasked")]) as teachers:
        found = teachers.query_all("Hi", teachers=["good", "bad", "good"])
        assert [one.teacher for one in found.responses] == ["good"]
        assert list(found.failures) == ["bad"]
        assert isinstance(found.failures["bad"], TeacherOutageError)
        assert len(server.asked) == 1
        with pytest.raises(UnknownTeacherError, match="'nobody'"):
            teachers.query_all("Hi", teachers=["nobody"])
        with pytest.raises(UnknownTeacherError):
            teachers.query_single("nobody", "Hi")


def test_waits_double_and_the_server_is_obeyed(server: TeacherServer, hands: Hands) -> None:
    server.faults.extend([status(500), status(503)])
    with apis(hands, [server.config("it")]) as teachers:
        assert teachers.query_single("it", "Hi").text == "forty two"
        assert hands.slept == [1.0, 2.0]
        hands.slept.clear()
        server.faults.extend([status(429, Retry_After="17"), status(503, Retry_After="3")])
        assert teachers.query_single("it", "Hi").text == "forty two"
        assert hands.slept == [17.0, 3.0]


def test_a_server_that_asks_for_too_much_patience(server: TeacherServer, hands: Hands) -> None:
    server.faults.append(status(429, Retry_After="61"))
    with apis(hands, [server.config("it")]) as teachers:
        with pytest.raises(TeacherBusyError) as caught:
            teachers.query_single("it", "Hi")
        assert caught.value.seconds_to_wait == 61
        assert hands.slept == []
        with pytest.raises(RateSpentError):  # it is left in peace by all others, too
            teachers.query_single("it", "Hi")
        assert len(server.asked) == 1
        hands.pass_by(61)
        assert teachers.query_single("it", "Hi").text == "forty two"


def test_what_cannot_help_is_not_repeated(server: TeacherServer, hands: Hands) -> None:
    server.faults.extend([status(401), says({})])
    with apis(hands, [server.config("it")]) as teachers:
        with pytest.raises(TeacherRejectionError):
            teachers.query_single("it", "Hi")
        with pytest.raises(TeacherAnswerError):
            teachers.query_single("it", "Hi")
    assert len(server.asked) == 2
    assert hands.slept == []


def test_what_may_have_been_paid_is_not_paid_twice(server: TeacherServer, hands: Hands) -> None:
    server.always = silence
    with apis(hands, [server.config("paid", timeout_seconds=0.1, **PRICED)]) as teachers:
        with pytest.raises(TeacherTimeoutError):
            teachers.query_single("paid", "Hi", max_tokens=100)
        assert len(server.asked) == 1
        most = Decimal("0.0025") * (2 + 256) / 1000 + Decimal("0.01") * 100 / 1000
        assert teachers.usage().cost_usd == most  # it may be on the provider's bill
    server.always = None
    server.faults.append(silence)
    with apis(hands, [server.config("free", timeout_seconds=0.5)]) as teachers:
        assert teachers.query_single("free", "Hi").text == "forty two"


def test_a_failed_call_costs_nothing(server: TeacherServer, hands: Hands) -> None:
    server.faults.extend([status(500), status(429), status(503)])
    with apis(hands, [server.config("it", **PRICED)]) as teachers:
        with pytest.raises(TeacherOutageError):
            teachers.query_single("it", "Hi")
        assert teachers.usage() == teachers.usage("it")
        assert (teachers.usage().requests, teachers.usage().cost_usd) == (0, 0)


def test_the_next_teacher_is_asked_at_once(server: TeacherServer, other: TeacherServer, hands: Hands) -> None:
    other.always = status(429, Retry_After="5")
    with apis(hands, [other.config("first"), server.config("second")]) as teachers:
        assert teachers.query_with_fallback("Hi").teacher == "second"
        assert len(other.asked) == 1  # one attempt
        assert teachers.query_with_fallback("Hi").teacher == "second"
        assert len(other.asked) == 1  # and peace while it asked for peace
    assert hands.slept == []


def test_free_teachers_come_first_each_until_its_quota_is_used(server: TeacherServer, hands: Hands) -> None:
    configs = [
        server.config("paid", **PRICED),
        server.config("free 1", quota=QuotaLimits(requests_per_day=2)),
        server.config("free 2", quota=QuotaLimits(requests_per_month=3)),
    ]
    with apis(hands, configs) as teachers:

        def order(count: int) -> list[str]:
            return [teachers.query_with_fallback("Hi").teacher for _ in range(count)]

        assert order(6) == ["free 1"] * 2 + ["free 2"] * 3 + ["paid"]
        hands.pass_by(DAY)  # the first of December: a new day, and a new month
        assert order(6) == ["free 1"] * 2 + ["free 2"] * 3 + ["paid"]
        hands.pass_by(DAY)
        assert order(3) == ["free 1"] * 2 + ["paid"]
    assert hands.slept == []


def test_tokens_have_a_quota_too(server: TeacherServer, hands: Hands) -> None:
    """The worst case has to fit; what an answer really took is counted."""
    quota = QuotaLimits(tokens_per_day=2 + 256 + 100 + 3)
    with apis(hands, [server.config("it", quota=quota)]) as teachers:
        for _ in range(2):  # 1 + 2 tokens each
            teachers.query_single("it", "Hi", max_tokens=100)
        with pytest.raises(QuotaSpentError, match="364 of 361 tokens of this day"):
            teachers.query_single("it", "Hi", max_tokens=100)
        assert len(server.asked) == 2


def test_nobody_answers(server: TeacherServer, other: TeacherServer, hands: Hands) -> None:
    server.always, other.always = status(500), cut_off
    with (
        apis(hands, [server.config("a"), other.config("b")]) as teachers,
        pytest.raises(AllTeachersFailedError, match=r"a: .*500.*; b: .*broke off") as caught,
    ):
        teachers.query_with_fallback("Hi")
    assert [type(one) for one in caught.value.failures.values()] == [TeacherOutageError, TeacherAnswerError]


def test_three_failures_open_the_circuit_for_five_minutes(server: TeacherServer, hands: Hands) -> None:
    server.always = status(500)
    with apis(hands, [server.config("it")]) as teachers:
        with pytest.raises(TeacherOutageError):
            teachers.query_single("it", "Hi")
        assert len(server.asked) == 3
        with pytest.raises(CircuitOpenError):
            teachers.query_single("it", "Hi")
        hands.pass_by(299)
        with pytest.raises(CircuitOpenError):
            teachers.query_single("it", "Hi")
        assert len(server.asked) == 3
        hands.pass_by(2)
        with pytest.raises(CircuitOpenError):  # the probe fails, and its repetition is refused
            teachers.query_single("it", "Hi")
        assert len(server.asked) == 4
        hands.pass_by(301)
        server.always = None
        assert teachers.query_single("it", "Hi").text == "forty two"
        server.faults.extend([status(500), status(500)])
        assert teachers.query_single("it", "Hi").text == "forty two"  # two in a row are no three


def test_a_prompt_that_a_teacher_does_not_take_is_not_its_failure(server: TeacherServer, hands: Hands) -> None:
    server.faults.extend([status(400)] * 5)
    with apis(hands, [server.config("it")]) as teachers:
        for _ in range(5):
            with pytest.raises(TeacherRejectionError):
                teachers.query_single("it", "Hi")
        assert teachers.query_single("it", "Hi").text == "forty two"


def test_requests_in_a_minute(server: TeacherServer, hands: Hands) -> None:
    with apis(hands, [server.config("it", rate_limit_rpm=2), server.config("next")]) as teachers:
        for _ in range(4):
            teachers.query_single("it", "Hi")
        assert hands.slept == [60.0]
        assert teachers.query_with_fallback("Hi").teacher == "next"  # without a wait
        assert hands.slept == [60.0]


def test_fifty_threads_do_not_overdraw_the_budget(server: TeacherServer, hands: Hands) -> None:
    """What does not fit is refused before it is sent; the server sees no call that is not in the record."""
    worst = Decimal("0.0025") * (2 + 256) / 1000 + Decimal("0.01") * 100 / 1000
    server.always = says({"choices": [{"message": {"content": "a"}}]})  # says no counts: each costs its worst case
    outcomes: Counter[str] = Counter()
    gate = threading.Barrier(50)
    with apis(hands, [server.config("it", **PRICED)], budget_usd=worst * 20) as teachers:

        def ask() -> None:
            gate.wait(60)
            try:
                teachers.query_single("it", "Hi", max_tokens=100)
                outcomes["answered"] += 1
            except MoneySpentError:
                outcomes["refused"] += 1

        threads = [threading.Thread(target=ask) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == {"answered": 20, "refused": 30}
        assert len(server.asked) == 20
        assert teachers.usage().cost_usd == worst * 20


def test_the_budget_counts_what_was_really_spent(server: TeacherServer, hands: Hands) -> None:
    worst = Decimal("0.0025") * (2 + 256) / 1000 + Decimal("0.01") * 100 / 1000
    real = Decimal("0.0000225")  # 1 + 2 tokens
    with apis(hands, [server.config("it", **PRICED)], budget_usd=worst + 2 * real) as teachers:
        found = [teachers.query_single("it", "Hi", max_tokens=100) for _ in range(3)]
        with pytest.raises(MoneySpentError, match=r"may cost 0\.001645\d* USD, and 0\.0016225\d* USD are left"):
            teachers.query_single("it", "Hi", max_tokens=100)
        assert teachers.calculate_total_cost(found) == 3 * real
        assert to_cents(3 * real) == Decimal("0.01")
    assert len(server.asked) == 3


def test_a_used_budget_leaves_the_free_teachers(server: TeacherServer, hands: Hands) -> None:
    configs = [server.config("paid", **PRICED), server.config("free")]
    with apis(hands, configs, budget_usd=Decimal(0)) as teachers:
        found = teachers.query_all("Hi")
        assert [one.teacher for one in found.responses] == ["free"]
        assert isinstance(found.failures["paid"], MoneySpentError)


def test_a_teacher_cannot_claim_more_than_was_set_aside(server: TeacherServer, hands: Hands) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 10**9}
    server.faults.append(says({"choices": [{"message": {"content": "a"}}], "usage": usage}))
    with apis(hands, [server.config("it", **PRICED)], budget_usd=Decimal(1)) as teachers:
        with pytest.raises(TeacherAnswerError, match=r"counts 1 \+ 1000000000 tokens"):
            teachers.query_single("it", "Hi", max_tokens=100)
        assert teachers.usage().cost_usd < Decimal("0.01")


def test_a_restart_forgets_neither_money_nor_quota(server: TeacherServer, hands: Hands, tmp_path: Path) -> None:
    file = tmp_path / "state" / "teachers.sqlite"
    configs = [server.config("free", quota=QuotaLimits(requests_per_day=1)), server.config("paid", **PRICED)]
    with apis(hands, configs, state_file=file) as teachers:
        assert [one.teacher for one in teachers.query_all("Hi").responses] == ["free", "paid"]
        spent = teachers.usage().cost_usd
    with apis(hands, configs, state_file=file, budget_usd=spent) as teachers:
        assert teachers.usage().cost_usd == spent
        failures = teachers.query_all("Hi").failures
        assert {name: type(error) for name, error in failures.items()} == {
            "free": QuotaSpentError, "paid": MoneySpentError,
        }  # fmt: skip


def test_the_cheapest(server: TeacherServer, hands: Hands) -> None:
    prices = {"a": ("0.001", "0.009"), "b": ("0.004", "0.005"), "c": ("0.0045", "0.0045")}
    configs = [
        server.config(name, input_cost_per_1k=Decimal(read), output_cost_per_1k=Decimal(written))
        for name, (read, written) in prices.items()
    ]
    with apis(hands, configs) as teachers:
        assert teachers.get_cheapest_teacher() == "b"
        assert teachers.names == ("a", "b", "c")
    with apis(hands, [*configs, server.config("free")]) as teachers:
        assert teachers.get_cheapest_teacher() == "free"


def test_what_cannot_be_asked(server: TeacherServer, hands: Hands) -> None:
    with apis(hands, [server.config("it")]) as teachers:
        for prompt in ("", " \n", "\ud800", "x" * 10_000_001):
            for ask in (
                teachers.query_all,
                teachers.query_with_fallback,
                lambda text: teachers.query_single("it", text),
            ):
                with pytest.raises(TeacherPromptError):
                    ask(prompt)
        with pytest.raises(TeacherPromptError):
            teachers.query_single("it", "Hi", max_tokens=0)
    assert server.asked == []


def test_teachers_that_cannot_be(server: TeacherServer, hands: Hands) -> None:
    with pytest.raises(TeacherConfigError, match="there is no teacher"):
        apis(hands, [])
    with pytest.raises(TeacherConfigError, match="one name"):
        apis(hands, [server.config("it"), server.config("it")])
    for budget in ("-1", "NaN", "Infinity"):
        with pytest.raises(TeacherConfigError, match="budget"):
            apis(hands, [server.config("it")], budget_usd=Decimal(budget))
