"""``nexus-gateway`` with its explorer before real nodes: an answer's session is there, and listeners hold up no end."""

from __future__ import annotations

import httpx
import pytest

from tests.support.gateway_process import gateway_process
from tests.support.live_network import live_network


def test_a_session_is_shown_and_an_open_stream_does_not_hold_up_the_end(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("live")
    # Longer than the test waits for the end: answers under way would get so long, listeners must not.
    with (
        live_network(folder, copies=1) as live,
        gateway_process(live, folder / "gateway", "--drain", "3600") as gateway,
    ):
        headers = {"authorization": f"Bearer {gateway.key}"}
        with httpx.Client(base_url=gateway.url, headers=headers, timeout=120) as http:
            body = {"model": "tiny", "prompt": "def fib(n):", "max_tokens": 8}
            answered = http.post("/v1/completions", json=body).raise_for_status()
            session = http.get(answered.headers["x-nexus-receipts"]).json()["session"]
            with http.stream("GET", "/explorer/events") as response:
                lines = response.iter_lines()
                assert next(lines) == "event: state"
                # The chain is looked at every two seconds; the stream says when something was found.
                while (shown := http.get(f"/explorer/sessions/{session}")).status_code == 404:
                    next(lines)
                found = shown.raise_for_status().json()
                nodes = {node["node"] for node in http.get("/explorer/nodes").json()["items"]}
                assert {line["node"] for line in found["lines"]} == nodes
                (model,) = http.get("/explorer/models").json()["items"]
                assert (model["names"], model["answers"]) == (["tiny"], True)
                assert gateway.stop() == 0
                assert all(not line or line[0] in "edi:" for line in lines)  # it ends
        assert "Traceback" not in gateway.log.read_text()
