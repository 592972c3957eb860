"""``nexus-gateway`` before real nodes and a real chain, asked by OpenAI's own client."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import openai
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from nexus_chain.engine.engine import Engine
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.program.sampling import Sampling
from node.gateway.service import seed_bytes
from tests.support.gateway_process import CREDIT, GatewayProcess, gateway_process, nexus
from tests.support.live_network import LiveNetwork, live_network

PROMPT, SEED, TOKENS = "def fib(n):", 7, 40


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    with live_network(tmp_path_factory.mktemp("live")) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(live: LiveNetwork) -> Iterator[GatewayProcess]:
    with gateway_process(live, live.folder / "gateway", "--verify-rate", "1") as made:
        yield made
        assert made.stop() == 0
    assert "Traceback" not in made.log.read_text()
    assert made.key not in made.log.read_text()


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=gateway.key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


@pytest.fixture
def http(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {gateway.key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=120) as made:
        yield made


def expected(live: LiveNetwork) -> str:
    """What the program itself answers to that seed."""
    tokens = live.expected(PROMPT, TOKENS, Sampling.at_temperature(0.8, seed_bytes(SEED)))
    return live.files.codec.decode(tokens)


def ask(http: httpx.Client, **words: Any) -> httpx.Response:
    body = {"model": "tiny", "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0.8, "seed": SEED, **words}
    return http.post("/v1/completions", json=body).raise_for_status()


@pytest.fixture
def answered(http: httpx.Client) -> httpx.Response:
    return ask(http, stream=True)


def test_a_stream_is_what_the_program_says(live: LiveNetwork, client: openai.OpenAI) -> None:
    chunks = client.completions.create(
        model="tiny", prompt=PROMPT, max_tokens=TOKENS, temperature=0.8, seed=SEED, stream=True
    )
    found = list(chunks)
    assert "".join(chunk.choices[0].text for chunk in found) == expected(live)
    assert found[-1].choices[0].finish_reason == "length"
    whole = client.completions.create(model="tiny", prompt=PROMPT, max_tokens=TOKENS, temperature=0.8, seed=SEED)
    assert whole.choices[0].text == expected(live)


def test_receipts_cost_and_books_agree(live: LiveNetwork, http: httpx.Client) -> None:
    before = int(http.get("/v1/account").json()["balance_wei"])
    found = ask(http)
    id, cost = found.headers["x-nexus-answer-id"], int(found.headers["x-nexus-cost-wei"])
    prompt = live.files.codec.encode(PROMPT)
    kept = http.get(found.headers["x-nexus-receipts"]).json()
    assert kept["id"] == id
    assert int(kept["cost_wei"]) == cost == sum(int(receipt["price_wei"]) for receipt in kept["receipts"])
    proof = InferenceProof.from_dict(kept["proof"])
    assert list(proof.tokens[: proof.prompt_length]) == prompt
    after = http.get("/v1/account").json()
    assert (int(after["balance_wei"]), after["reserved_wei"]) == (before - cost, "0")
    assert before <= CREDIT


def test_what_was_sent_is_signed(http: httpx.Client, answered: httpx.Response) -> None:
    id = answered.headers["x-nexus-answer-id"]
    found = http.get(f"/v1/signature/{id}").json()
    request, response = (hashlib.sha256(body).hexdigest() for body in (answered.request.content, answered.content))
    assert found["text"] == f"{request}:{response}"
    signer = Account.recover_message(encode_defunct(text=found["text"]), signature=found["signature"])
    assert signer == found["signing_address"]


def test_prompts_are_scored_to_the_bit(live: LiveNetwork, client: openai.OpenAI) -> None:
    import torch

    found = client.completions.create(model="tiny", prompt=PROMPT, max_tokens=0, echo=True, logprobs=2)
    tokens = torch.tensor(live.files.codec.encode(PROMPT), dtype=torch.int32)
    logits = Engine(live.model.program, live.model.weights).logits(tokens[:-1])
    logs = (logits.double() / 4096).log_softmax(1)
    right = [float(logs[row, token]) for row, token in enumerate(tokens[1:].tolist())]
    told: Any = found.choices[0].logprobs
    assert found.choices[0].text == PROMPT
    assert told.token_logprobs == [None, *right]
    assert all(max(top.values()) == float(row.max()) for top, row in zip(told.top_logprobs[1:], logs, strict=True))
    one: Any = client.completions.create(
        model="tiny", prompt=PROMPT, max_tokens=1, echo=True, logprobs=1, temperature=0
    )
    assert len(one.choices[0].logprobs.tokens) == len(tokens) + 1
    assert one.choices[0].logprobs.token_logprobs[1 : len(tokens)] == right


def test_nobody_else_reads_or_asks(http: httpx.Client, answered: httpx.Response) -> None:
    made = http.post("/v1/keys", json={"name": "reader", "scopes": ["read"]}).raise_for_status().json()
    secret = made.get("secret") or made["key"]
    id = answered.headers["x-nexus-answer-id"]
    reader = {"authorization": f"Bearer {secret}"}
    assert http.get(f"/v1/receipts/{id}", headers=reader).status_code == 200  # the same account
    body = {"model": "tiny", "prompt": PROMPT}
    assert http.post("/v1/completions", json=body, headers=reader).status_code == 403
    for path in (f"/v1/receipts/{id}", f"/v1/signature/{id}"):
        assert httpx.get(f"{http.base_url}{path}").status_code == 401


def test_a_context_that_is_too_long_says_how_long_it_is(http: httpx.Client) -> None:
    found = http.post("/v1/completions", json={"model": "tiny", "prompt": PROMPT, "max_tokens": 500})
    assert (found.status_code, found.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "context of 200" in found.json()["error"]["message"]


class TamperedGateway(BaseHTTPRequestHandler):
    """Serves one document, whatever is asked."""

    document = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.document)

    def log_message(self, *_: Any) -> None:
        pass


def test_an_answer_is_verified_by_its_address(
    live: LiveNetwork, gateway: GatewayProcess, http: httpx.Client, answered: httpx.Response, tmp_path: Path
) -> None:
    url = f"{gateway.url}{answered.headers['x-nexus-receipts']}"
    key = ("--api-key-file", str(gateway.key_file))
    right = nexus(live, gateway.home, "verify", url, *key, "--json")
    assert right.returncode == 0, right.stderr
    told = json.loads(right.stdout)
    assert (told["verified"], told["recomputed"], told["text"]) == (True, True, expected(live))
    assert nexus(live, gateway.home, "verify", url).returncode == 1  # without the key
    assert PROMPT in told["prompt"]

    body, text = tmp_path / "body.json", tmp_path / "text"
    text.write_text(told["text"])
    for changed, code in (({}, 0), ({"prompt": PROMPT + "!"}, 1), ({"seed": 8}, 1), ({"temperature": 0.5}, 1)):
        body.write_text(json.dumps({**json.loads(answered.request.content), **changed}))
        sent = ("--request", str(body), "--endpoint", answered.request.url.path, "--answer-text", str(text))
        unknown = nexus(live, gateway.home, "verify", url, *key, "--level", "trust", *sent) if not changed else None
        assert unknown is None or (unknown.returncode, "model was not compared" in unknown.stderr) == (1, True)
        sent += ("--version", told["model_version"][:20])
        assert nexus(live, gateway.home, "verify", url, *key, "--level", "trust", *sent).returncode == code, changed

    lie = http.get(answered.headers["x-nexus-receipts"]).json()
    lie["proof"]["tokens"][-1] ^= 1
    handler: Any = type("Tampered", (TamperedGateway,), {"document": json.dumps(lie).encode()})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        wrong = nexus(
            live,
            gateway.home,
            "verify",
            f"http://127.0.0.1:{server.server_port}{answered.headers['x-nexus-receipts']}",
            "--json",
        )
        server.shutdown()
        thread.join()
    assert wrong.returncode == 1
    assert json.loads(wrong.stdout)["verified"] is False


def test_answers_were_recomputed(http: httpx.Client, answered: httpx.Response) -> None:
    from tests.support.waiting import wait_until

    def checked() -> Any:
        return http.get(answered.headers["x-nexus-receipts"]).json()["verification"]

    wait_until(checked, 0.2)
    assert checked() == {"level": "full", "passed": True, "wrong": []}
    assert 'nexus_gateway_audits_total{model="tiny",result="passed"}' in http.get("/metrics").text


def test_a_reader_who_leaves_stops_paying(http: httpx.Client) -> None:
    from tests.support.waiting import wait_until

    body = {"model": "tiny", "prompt": PROMPT, "max_tokens": 180, "temperature": 0, "stream": True}
    with http.stream("POST", "/v1/completions", json=body) as response:
        id = response.headers["x-nexus-answer-id"]
        next(response.iter_lines())
    wait_until(lambda: http.get(f"/v1/receipts/{id}").status_code == 200, 0.2)
    kept = http.get(f"/v1/receipts/{id}").json()
    assert kept["finish"] in ("cancelled", "length")  # it may have been at its end already
    assert http.get("/v1/account").json()["reserved_wei"] == "0"
    assert http.get(f"/v1/signature/{id}").status_code in (200, 404)


def test_it_is_ready(http: httpx.Client) -> None:
    assert http.get("/ready").json() == {"status": "ready", "models": ["tiny"]}
