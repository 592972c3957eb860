"""Circuit, rate and backoff under a clock of the test's."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nexus_chain.distillation.backoff import Backoff
from nexus_chain.distillation.teachers.circuit import CircuitBreaker, CircuitPass
from nexus_chain.distillation.teachers.request_rate import RequestRate


class Clock(SimpleNamespace):
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def entered(circuit: CircuitBreaker) -> CircuitPass:
    found = circuit.enter()
    assert found is not None
    return found


def opened(clock: Clock) -> CircuitBreaker:
    circuit = CircuitBreaker(clock)
    for _ in range(3):
        circuit.failed(entered(circuit))
    assert circuit.enter() is None
    return circuit


def test_only_failures_in_a_row_open_it(clock: Clock) -> None:
    circuit = CircuitBreaker(clock)
    for _ in range(5):
        circuit.failed(entered(circuit))
        circuit.failed(entered(circuit))
        circuit.unused(entered(circuit))
        circuit.succeeded(entered(circuit))
    assert circuit.enter() is not None


def test_one_probe_at_a_time(clock: Clock) -> None:
    circuit = opened(clock)
    clock.now += 299.9
    assert circuit.enter() is None
    clock.now += 0.1
    gate, passes = threading.Barrier(20), []

    def enter() -> None:
        gate.wait(60)
        passes.append(circuit.enter())

    threads = [threading.Thread(target=enter) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (probe,) = [one for one in passes if one is not None]
    assert circuit.enter() is None
    circuit.unused(probe)  # nothing was learned: another one may find out
    circuit.succeeded(entered(circuit))
    assert circuit.enter() is not None
    assert circuit.enter() is not None


def test_a_probe_that_fails_opens_it_for_five_minutes_more(clock: Clock) -> None:
    circuit = opened(clock)
    clock.now += 300
    circuit.failed(entered(circuit))
    clock.now += 299
    assert circuit.enter() is None
    clock.now += 1
    assert circuit.enter() is not None


def test_late_results_of_an_older_time_say_nothing(clock: Clock) -> None:
    circuit = CircuitBreaker(clock)
    late_success, late_failure = entered(circuit), entered(circuit)
    for _ in range(3):
        circuit.failed(entered(circuit))
    circuit.succeeded(late_success)
    assert circuit.enter() is None
    clock.now += 300
    probe = entered(circuit)
    circuit.failed(late_failure)
    circuit.succeeded(probe)
    assert circuit.enter() is not None


@given(st.integers(1, 5), st.lists(st.floats(0, 40), max_size=60))
@example(1, [1.712248501080306, 0.0])
def test_no_minute_holds_more_requests_than_allowed(most: int, gaps: list[float]) -> None:
    clock = Clock()
    rate, taken = RequestRate(most, clock), []
    for gap in gaps:
        clock.now += gap
        wait = rate.take()
        if wait == 0:
            taken.append(clock.now)
        else:
            assert 0 < wait <= 60
    for start in taken:
        assert sum(start <= moment < start + 59.999 for moment in taken) <= most


def test_a_wait_is_as_long_as_it_has_to_be(clock: Clock) -> None:
    rate = RequestRate(1, clock)
    assert rate.take() == 0
    clock.now += 20
    assert rate.take() == 40
    clock.now += 40
    assert rate.take() == 0
    rate.rest(100)
    rate.rest(5)
    assert rate.take() == 100
    clock.now += 100
    assert rate.take() == 0


@given(st.integers(1, 2000), st.floats(0, 0.999), st.none() | st.floats(0, 100))
def test_waits_between_attempts(failures: int, lot: float, asked: float | None) -> None:
    backoff = Backoff(attempts=1000, base=0.5, longest=30, patience=60, lot=lambda: lot)
    wait = backoff.wait(failures, asked)
    if failures >= 1000 or (asked is not None and asked > 60):
        assert wait is None
        return
    mean = min(30, 0.5 * 2 ** min(failures - 1, 20))
    assert wait is not None
    assert wait >= (asked or 0)
    assert 0.5 * mean <= wait <= max(1.5 * mean, asked or 0)
