"""A caller who hangs up, over TCP: the answer ends at the nodes, what was computed is booked, nothing stays open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.gateway.app import build_app
from node.gateway.deps import Deps
from node.gateway.settings import GatewaySettings
from tests.support.gateway_server import served
from tests.support.toy_market import ToyWorld
from tests.support.toy_service import KEY, MODEL, PRICE, ToyService, toy_service, toy_text
from tests.support.waiting import wait_until

TOKENS = 400
BODY: dict[str, Any] = {"model": MODEL, "prompt": [3, 14, 15], "max_tokens": TOKENS}


class Gate:
    """Nodes pass ``free`` messages, then wait until it is opened."""

    def __init__(self, free: int) -> None:
        self.left, self.reached, self.opened = free, threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.reached.set()
            self.opened.wait(60)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyService]:
    ToyWorld.stand_for_the_chain(monkeypatch)
    with toy_service(ToyWorld(tmp_path), tmp_path) as made:
        yield made


@pytest.fixture
def http(toy: ToyService) -> Iterator[httpx.Client]:
    app = build_app(Deps(toy.service, toy.accounts, evidence=toy.evidence, metrics=toy.metrics), GatewaySettings())
    headers = {"authorization": f"Bearer {KEY}"}
    with served(app) as url, httpx.Client(base_url=url, headers=headers, timeout=60) as made:
        yield made


def is_over(toy: ToyService) -> bool:
    reservations = list(toy.accounts.reservations.values())
    return bool(reservations) and all(one.is_over for one in reservations) and not toy.service._running


def test_a_stream_that_is_left(toy: ToyService, http: httpx.Client) -> None:
    gate = toy.world.slow = Gate(60)
    with http.stream("POST", "/v1/completions", json={**BODY, "stream": True}) as response:
        id = response.headers["x-nexus-answer-id"]
        assert gate.reached.wait(60)  # the nodes are in the middle of it
    gate.opened.set()
    wait_until(lambda: is_over(toy))
    (reservation,) = toy.accounts.reservations.values()
    assert reservation.bill is not None
    assert 0 < reservation.bill.total_wei < PRICE * (TOKENS + 2)
    kept = http.get(f"/v1/receipts/{id}").json()
    assert (kept["finish"], kept["cost_wei"]) == ("cancelled", str(reservation.bill.total_wei))
    assert http.get(f"/v1/signature/{id}").status_code == 404  # nobody has the whole response


def test_a_reply_that_nobody_waits_for(toy: ToyService, http: httpx.Client) -> None:
    gate = toy.world.slow = Gate(60)
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/completions", json=BODY, timeout=1.0)
    assert gate.reached.wait(60)
    gate.opened.set()
    wait_until(lambda: is_over(toy))
    (reservation,) = toy.accounts.reservations.values()
    assert reservation.bill is not None
    assert 0 < reservation.bill.total_wei < PRICE * (TOKENS + 2)


def test_a_reply_that_is_read_is_whole(toy: ToyService, http: httpx.Client) -> None:
    found = http.post("/v1/completions", json=BODY).raise_for_status()
    assert found.json()["choices"][0]["text"] == toy_text([3, 14, 15], TOKENS)
    assert int(found.headers["x-nexus-cost-wei"]) == PRICE * (TOKENS + 2)
    ids = [http.post("/v1/completions", json={**BODY, "prompt": [[1], [2]], "max_tokens": 2}).headers][0]
    assert len(ids["x-nexus-answer-id"].split(", ")) == len(ids["x-nexus-receipts"].split(", ")) == 2
    wait_until(lambda: is_over(toy))
