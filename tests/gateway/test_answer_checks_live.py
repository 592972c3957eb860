"""A second gateway, with its own process and its own view of the chain, checks what the first one's nodes answered."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.support.gateway_process import gateway_process
from tests.support.live_network import live_network
from tests.support.page_app import events_in


def test_a_second_gateway_recomputes_what_the_first_one_gave(tmp_path: Path) -> None:
    origin = "https://first.example"
    with (
        live_network(tmp_path) as live,
        gateway_process(live, live.folder / "first", "--verifier", "https://second.example") as first,
        gateway_process(live, live.folder / "second", "--verify-for", origin) as second,
        httpx.Client(headers={"authorization": f"Bearer {first.key}"}, timeout=120) as http,
    ):
        assert http.get(f"{first.url}/page/network").json()["verifiers"] == ["https://second.example"]
        policy = http.get(f"{first.url}/app/").headers["content-security-policy"]
        assert policy.endswith("connect-src 'self' https://second.example")

        body = {"model": "tiny", "prompt": "def fib(n):", "max_tokens": 12, "temperature": 0}
        answer = http.post(f"{first.url}/v1/completions", json=body).raise_for_status()
        id = answer.headers["x-nexus-answer-id"]
        receipts = http.get(f"{first.url}/v1/receipts/{id}").raise_for_status().json()
        asked = httpx.post(
            f"{second.url}/v1/verifications", json={"proof": receipts["proof"]}, headers={"origin": origin}, timeout=120
        )
        assert asked.headers["access-control-allow-origin"] == origin
        name, verdict = events_in(asked)[-1]
        assert name == "verdict", verdict
        assert (verdict["verified"], verdict["recomputed"], verdict["wrong"]) == (True, True, [])
        assert (verdict["order"], verdict["model_version"]) == (receipts["order"], receipts["model_version"])
        assert verdict["text"] == answer.json()["choices"][0]["text"]
        assert verdict["prompt"] == "def fib(n):"

        altered = receipts["proof"] | {"tokens": [*receipts["proof"]["tokens"][:-1], 0]}
        asked = httpx.post(
            f"{second.url}/v1/verifications", json={"proof": altered}, headers={"origin": origin}, timeout=120
        )
        assert events_in(asked)[-1][1]["verified"] is False
        # The first one checks nothing for others: its operator named nobody.
        assert http.post(f"{first.url}/v1/verifications", json={}, headers={"origin": origin}).status_code == 404
