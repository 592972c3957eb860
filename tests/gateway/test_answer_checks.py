"""Answers of other gateways, recomputed here: whose pages may ask, what strangers get, what is said of a lie."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from nexus_chain.chain.errors import RpcUnreachableError
from nexus_chain.errors import SettingsError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import FULL, PositionProgress, VerificationReport, verify_proof
from nexus_chain.market.documents import address_of
from nexus_chain.program import IntegerModel
from nexus_chain.versions.errors import ModelFilesError
from node.gateway import answer_checks
from node.gateway.answer_checks import CHECKS_PER_HOUR, AnswerCheckDesk, CheckedVersion, SentAnswer
from node.gateway.errors import LimitReachedError, UnavailableError
from node.gateway.page import page_headers
from node.gateway.settings import GatewaySettings
from tests.support.engine_answers import DOMAIN, NODE_KEYS, answer_of, small_model, with_receipt
from tests.support.page_app import events_in, page_client

PROMPT = [3, 1, 4, 1, 5]
FIRST = "https://first.example"
PATH = "/v1/verifications"
ASKED = {"origin": FIRST, "content-type": "application/json"}
NOBODY = "0x" + "00" * 20


class Codec:
    """Writes tokens as their numbers."""

    end_tokens: tuple[int, ...] = ()

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(map(str, tokens))

    decode_named = decode


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return small_model()


@pytest.fixture(scope="module")
def honest(model: IntegerModel) -> InferenceProof:
    return answer_of(model, PROMPT, 40)


@dataclass
class Place:
    """Where answers are checked. ``computed``: proofs that were recomputed. ``gate``: holds recomputations back."""

    http: httpx.AsyncClient
    desk: AnswerCheckDesk
    computed: list[InferenceProof]
    gate: threading.Event

    async def check(self, proof: Any, stops: Sequence[str] = (), **headers: str) -> httpx.Response:
        told = proof.to_dict() if isinstance(proof, InferenceProof) else proof
        body = json.dumps({"proof": told, "stops": list(stops)})
        return await self.http.post(PATH, content=body, headers=ASKED | headers)


@asynccontextmanager
async def place(model: IntegerModel, **changes: Any) -> AsyncIterator[Place]:
    computed: list[InferenceProof] = []
    gate = threading.Event()
    gate.set()
    registered = {address_of(key): address_of(key) for key in NODE_KEYS}

    def recompute(proof: InferenceProof, keys: Mapping[str, str], progress: PositionProgress) -> VerificationReport:
        computed.append(proof)
        gate.wait(60)
        return verify_proof(proof, model, FULL, receipt_keys=keys, progress=progress)

    offered = SimpleNamespace(
        files=SimpleNamespace(program=model.program, codec=Codec()),
        context=model.program.shape.context,
        is_encoder=False,
        weights_root=bytes([7]) * 32,
    )
    known = CheckedVersion(cast(Any, offered), DOMAIN, lambda node: registered.get(node, NOBODY), recompute)
    desk = AnswerCheckDesk([FIRST], {bytes(32): replace(known, **changes)})
    async with page_client(checks=desk) as http:
        yield Place(http, desk, computed, gate)
    gate.set()
    desk.close()


def run(model: IntegerModel, work: Callable[[Place], Coroutine[Any, Any, None]], **changes: Any) -> None:
    async def whole() -> None:
        async with place(model, **changes) as here:
            await work(here)

    asyncio.run(whole())


def verdict_in(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    name, said = events_in(answer)[-1]
    assert name == "verdict", said
    return cast(dict[str, Any], said)


def test_a_right_answer_is_right_and_its_texts_are_told(model: IntegerModel, honest: InferenceProof) -> None:
    async def work(here: Place) -> None:
        answer = await here.check(honest)
        assert answer.headers["content-type"].startswith("text/event-stream")
        names = [name for name, _ in events_in(answer)]
        assert names[:-1] == ["progress"] * (len(names) - 1)
        assert ("progress", {"done": 132, "total": 132}) in events_in(answer)
        verdict = verdict_in(answer)
        assert verdict == {
            "object": "nexus.verdict",
            "order": "0x" + honest.order_digest.hex(),
            "model_version": "0x" + "00" * 32,
            "weights_root": "0x" + "07" * 32,
            "verified": True,
            "recomputed": True,
            "tokens": 45,
            "steps": verdict["steps"],
            "wrong": [],
            "text": " ".join(map(str, honest.tokens[5:])),
            "prompt": "3 1 4 1 5",
            "is_complete": True,
        }
        assert [(one["number"], one["passed"]) for one in verdict["steps"]] == [(n, True) for n in range(1, 7)]

    run(model, work)


def test_a_node_that_lied_is_named_with_its_layers(model: IntegerModel, honest: InferenceProof) -> None:
    receipt = honest.receipts[-2][0]
    lie = with_receipt(honest, -2, resign=True, out_root=bytes([receipt.out_root[0] ^ 1]) + receipt.out_root[1:])

    async def work(here: Place) -> None:
        verdict = verdict_in(await here.check(lie))
        assert (verdict["verified"], verdict["recomputed"]) == (False, True)
        assert verdict["wrong"] == [
            {
                "layers": [1, 2],
                "node": address_of(NODE_KEYS[1]),
                "from_position": receipt.from_position,
                "to_position": receipt.to_position,
                "first_difference": receipt.from_position,
                "exact": False,
                "to_blame": True,
                "reason": verdict["wrong"][0]["reason"],
            }
        ]

    run(model, work)


def test_nothing_is_recomputed_that_registered_nodes_did_not_sign(model: IntegerModel, honest: InferenceProof) -> None:
    async def work(here: Place) -> None:
        verdict = verdict_in(await here.check(honest))
        assert (verdict["verified"], verdict["recomputed"]) == (False, False)
        assert [one["name"] for one in verdict["steps"] if not one["passed"]] == ["receipts"]
        assert here.computed == []

    run(model, work, key_of=lambda node: NOBODY)  # the file's own keys are not believed


def test_who_is_registered_is_looked_at_again(model: IntegerModel, honest: InferenceProof) -> None:
    """Regression: "no such node" was kept, and told again after the node had registered."""
    registered: dict[str, str] = {}

    async def work(here: Place) -> None:
        assert not verdict_in(await here.check(honest))["verified"]
        registered.update({address_of(key): address_of(key) for key in NODE_KEYS})
        assert verdict_in(await here.check(honest))["verified"]

    run(model, work, key_of=lambda node: registered.get(node, NOBODY))


def test_an_altered_answer_is_wrong_by_its_papers(model: IntegerModel, honest: InferenceProof) -> None:
    async def work(here: Place) -> None:
        altered = replace(honest, tokens=(*honest.tokens[:-1], (honest.tokens[-1] + 1) % 300))
        verdict = verdict_in(await here.check(altered))
        assert verdict["verified"] is False
        assert "tokens" in [one["name"] for one in verdict["steps"] if not one["passed"]]

    run(model, work)


def test_an_answer_that_was_cut_short_is_said_to_be(model: IntegerModel, honest: InferenceProof) -> None:
    async def work(here: Place) -> None:
        short = replace(honest, order=replace(honest.order, max_tokens=90))
        assert verdict_in(await here.check(short))["is_complete"] is False
        stop = str(honest.tokens[-1])
        assert verdict_in(await here.check(short, [stop]))["is_complete"] is True

    run(model, work)


@pytest.mark.parametrize(
    "origin", ["", "https://evil.example", "https://first.example.evil.example", "http://first.example", "null",
               "https://FIRST.example", "https://first.example:444", "https://first.example/"],
)  # fmt: skip
def test_pages_of_other_origins_get_nothing(model: IntegerModel, honest: InferenceProof, origin: str) -> None:
    async def work(here: Place) -> None:
        headers = {"origin": origin, "access-control-request-method": "POST"}
        for answer in (await here.check(honest, origin=origin), await here.http.options(PATH, headers=headers)):
            assert answer.status_code == 403
            assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert here.computed == []

    run(model, work)


def test_the_named_origin_may_ask_without_credentials(model: IntegerModel, honest: InferenceProof) -> None:
    async def work(here: Place) -> None:
        before = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        asked = await here.http.options(PATH, headers={"origin": FIRST, **before})
        assert asked.status_code == 204
        told = {name: value for name, value in asked.headers.items() if name.startswith("access-control-")}
        assert told == {
            "access-control-allow-origin": FIRST,
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "content-type",
            "access-control-max-age": "600",
        }
        answer = await here.check(honest)
        assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (FIRST, "origin")
        assert "access-control-allow-credentials" not in answer.headers
        refused = await here.check({"format": "none"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, FIRST)

    run(model, work)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"proof": {}}', b'{"proof": 1, "stops": "x"}', b"\xff"])
def test_what_is_no_answer_file_is_refused(model: IntegerModel, body: bytes) -> None:
    async def work(here: Place) -> None:
        answer = await here.http.post(PATH, content=body, headers=ASKED)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")

    run(model, work)


def test_an_answer_of_another_model_chain_or_size_is_refused(model: IntegerModel, honest: InferenceProof) -> None:
    order = honest.order
    many = tuple(order.asks) * 500
    refused: list[tuple[InferenceProof, int]] = [
        (replace(honest, order=replace(order, model_version=bytes([1]) * 32)), 404),
        (replace(honest, domain=replace(DOMAIN, chain_id=1)), 400),
        (replace(honest, order=replace(order, asks=many)), 400),  # each would be a prefill
        (replace(honest, order=replace(order, asks=order.asks[:2])), 400),
        (replace(honest, order=replace(order, asks=order.asks[1:])), 400),
        (replace(honest, order=replace(order, asks=())), 400),
        (replace(honest, tokens=honest.tokens * 3), 400),  # beyond the context
        (replace(honest, tokens=(*honest.tokens[:-1], 300)), 400),  # beyond the vocabulary
        (replace(honest, tokens=(*honest.tokens[:-1], -1)), 400),
        (replace(honest, receipts=honest.receipts * 2_000), 400),
    ]

    async def work(here: Place) -> None:
        for proof, status in refused:
            assert (await here.check(proof)).status_code in (status, 413)
        assert here.computed == []

    run(model, work)


def test_an_address_has_one_check_at_once_and_so_many_an_hour(
    model: IntegerModel, honest: InferenceProof, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_checks, "CHECKS_PER_HOUR", 3)

    async def work(here: Place) -> None:
        here.gate.clear()
        first = asyncio.ensure_future(here.check(honest))
        while not here.computed:
            await asyncio.sleep(0.01)
        busy = await here.check(honest, ["another"])
        assert (busy.status_code, busy.headers["access-control-allow-origin"]) == (429, FIRST)
        here.gate.set()
        assert verdict_in(await first)["verified"]
        for stop in ("a", "b"):
            assert verdict_in(await here.check(honest, [stop]))["verified"]
        late = await here.check(honest, ["c"])
        assert late.status_code == 429
        assert "3 answers checked an hour" in late.json()["error"]["message"]
        # What was found before is told again, and costs nothing.
        assert verdict_in(await here.check(honest))["verified"]
        assert len(here.computed) == 3

    run(model, work)
    assert CHECKS_PER_HOUR == 20


def test_the_queue_is_short_and_ipv6_callers_count_by_their_network(
    model: IntegerModel, honest: InferenceProof
) -> None:
    async def work(here: Place) -> None:
        here.gate.clear()
        desk = here.desk
        told = json.dumps({"proof": honest.to_dict()}).encode()
        sent = [told + b" " * n for n in range(8)]
        waiting = [await desk.begin(one, f"10.0.0.{n}") for n, one in enumerate(sent[:3])]
        waiting.append(await desk.begin(sent[3], "2001:db8::1"))
        with pytest.raises(UnavailableError, match="too many checks"):
            await desk.begin(sent[4], "10.0.0.9")
        with pytest.raises(LimitReachedError, match="under way"):
            await desk.begin(sent[4], "2001:db8::2")
        here.gate.set()
        for events in waiting:
            assert [one async for one in events][-1].startswith(b"event: verdict")
        assert [one async for one in await desk.begin(sent[4], "10.0.0.9")][-1].startswith(b"event: verdict")

    run(model, work)


def test_a_strangers_file_is_read_once_it_is_counted_and_holds_nobody_up(
    model: IntegerModel, honest: InferenceProof, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: two megabytes that somebody thought up stopped all of the gateway for half a second, each time."""
    monkeypatch.setattr(answer_checks, "CHECKS_PER_HOUR", 2)
    read, slow, real = [0], threading.Event(), SentAnswer.read

    def slowly(body: bytes) -> SentAnswer:
        read[0] += 1
        slow.wait(60)
        return real(body)

    monkeypatch.setattr(answer_checks.SentAnswer, "read", slowly)

    async def work(here: Place) -> None:
        first = asyncio.ensure_future(here.check({"format": "none"}))
        while not read[0]:
            await asyncio.sleep(0.01)
        assert (await here.http.options(PATH, headers=ASKED)).status_code == 204  # it answers meanwhile
        slow.set()
        assert [(await first).status_code, (await here.check({})).status_code] == [400, 400]
        assert (await here.check({})).status_code == 429
        assert read == [2]

    run(model, work)


def test_callers_by_ipv4_to_a_socket_of_ipv6_are_not_one(model: IntegerModel, honest: InferenceProof) -> None:
    async def work(here: Place) -> None:
        here.gate.clear()
        told = json.dumps({"proof": honest.to_dict()}).encode()
        first = await here.desk.begin(told, "::ffff:10.0.0.1")
        with pytest.raises(LimitReachedError, match="under way"):
            await here.desk.begin(told + b" ", "10.0.0.1")
        second = await here.desk.begin(told + b" ", "::ffff:10.0.0.2")
        here.gate.set()
        for events in (first, second):
            assert [one async for one in events][-1].startswith(b"event: verdict")

    run(model, work)


def test_whoever_leaves_frees_the_place(model: IntegerModel, honest: InferenceProof) -> None:
    async def work(here: Place) -> None:
        here.gate.clear()
        first = asyncio.ensure_future(here.check(honest))
        while not here.computed:
            await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await here.check(honest, ["x"])).status_code == 429  # the thread still computes
        here.gate.set()
        while (again := await here.check(honest, ["x"])).status_code == 429:
            await asyncio.sleep(0.01)
        assert verdict_in(again)["verified"]

    run(model, work)


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (IndexError("of the operator's"), "internal_error", "the answer could not be checked"),
        (ModelFilesError("/home/of the operator's", advice="x"), "not_found", "has not the weights of that model"),
        (
            RpcUnreachableError("https://of the operator's", advice="x"),
            "service_unavailable",
            "could not be checked now",
        ),
    ],
    ids=lambda given: str(given)[:20],
)
def test_a_recomputation_that_breaks_is_said_in_words_of_its_own(
    model: IntegerModel, honest: InferenceProof, failure: Exception, code: str, message: str
) -> None:
    def breaks(*_: Any) -> VerificationReport:
        raise failure

    async def work(here: Place) -> None:
        answer = await here.check(honest)
        name, said = events_in(answer)[-1]
        assert (name, said["code"]) == ("error", code)
        assert message in said["message"]
        assert "of the operator's" not in answer.text

    run(model, work, recompute=breaks)


def test_a_gateway_whose_operator_names_nobody_checks_nothing() -> None:
    async def work() -> None:
        async with page_client() as http:
            assert (await http.post(PATH, content=b"{}", headers=ASKED)).status_code == 404
            assert (await http.options(PATH, headers=ASKED)).status_code == 404

    asyncio.run(work())


def test_the_policy_of_the_page_names_the_verifiers_and_nobody_else() -> None:
    alone = page_headers()["content-security-policy"]
    assert "connect-src" not in alone  # default-src 'self'
    rules = page_headers(["https://b.example", "http://127.0.0.1:8000"])["content-security-policy"].split("; ")
    assert rules == [*alone.split("; "), "connect-src 'self' https://b.example http://127.0.0.1:8000"]


def test_the_page_is_served_with_that_policy() -> None:
    async def work() -> None:
        async with page_client(verifiers=("https://b.example",)) as http:
            for path in ("/app", "/app/"):
                policy = (await http.get(path)).headers["content-security-policy"]
                assert policy.endswith("connect-src 'self' https://b.example")

    asyncio.run(work())


@pytest.mark.parametrize(
    "origin",
    ["b.example", "https://b.example/", "https://b.example/path", "https://*", "https://*.example", "'unsafe-inline'",
     "https://b.example; script-src *", "https://b.example https://c.example", "ftp://b.example", "https://u@b.example",
     "https://B.example", "https://[::1]:1", "https://b.example:0",
     "https://b.example:443", "http://b.example:80", "https://b.example\n", ""],
)  # fmt: skip
@pytest.mark.parametrize("name", ["verifier", "verify_for"])
def test_what_is_no_origin_is_no_setting(name: str, origin: str) -> None:
    with pytest.raises(SettingsError, match="no origin"):
        GatewaySettings(**cast(Any, {name: (origin,)}))


def test_a_gateway_is_no_second_gateway_of_its_own() -> None:
    for address in ("https://a.example", "https://a.example/"):
        with pytest.raises(SettingsError, match="this gateway itself"):
            GatewaySettings(public_url=address, verifier=("https://b.example", "https://a.example"))


def test_origins_are_settings() -> None:
    known = ("https://b.example", "https://b.example:8443", "http://localhost:11434", "http://127.0.0.1:1",
             "http://b.example:443", "https://b.example:80", "https://b.example:4430")  # fmt: skip
    assert GatewaySettings(verifier=known, verify_for=known).verifier == known
