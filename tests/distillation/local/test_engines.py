"""Both engines against a server that misbehaves when it is told to. The clock and the waits are the test's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_chain.distillation.backoff import Backoff
from nexus_chain.distillation.local.async_engine import AsyncLocalEngine
from nexus_chain.distillation.local.engine import LocalEngine
from nexus_chain.distillation.local.engine_core import LocalEngineSettings
from nexus_chain.distillation.local.errors import (
    LocalAnswerError,
    LocalConnectionError,
    LocalEngineError,
    LocalModelMissingError,
    LocalRequestError,
    LocalServerError,
    LocalTimeoutError,
)
from nexus_chain.distillation.local.models import LocalInferenceRequest, OllamaModel, PullStep
from nexus_chain.distillation.secret import Secret
from tests.support.ollama_server import (
    END,
    MODEL,
    PIECES,
    OllamaFault,
    OllamaServer,
    body,
    dripping,
    failing,
    hanging,
    leaving,
    lines,
    ollama_server,
    short,
)

ASKED = LocalInferenceRequest("What is 6 times 7?", MODEL, temperature=0.0, max_tokens=9, system="Be brief.")
STREAMED = LocalInferenceRequest("What is 6 times 7?", MODEL, stream=True)
KEY = "sk-nexus-0123456789"


@pytest.fixture(scope="module")
def running() -> Iterator[OllamaServer]:
    with ollama_server() as found:
        yield found


@pytest.fixture
def server(running: OllamaServer) -> OllamaServer:
    running.faults.clear()
    running.asked.clear()
    running.authorizations.clear()
    return running


class Waiting:
    """An AsyncLocalEngine as a program sees it that waits for every answer; so each test is for both engines."""

    def __init__(self, *words: Any, **more: Any) -> None:
        self._loop = asyncio.Runner()
        sleep = more.pop("sleep")

        async def noted(seconds: float) -> None:
            sleep(seconds)

        self._engine = AsyncLocalEngine(*words, sleep=noted, **more)

    def stream_generate(self, request: LocalInferenceRequest) -> Iterator[str]:
        async def after(pieces: Any) -> str | None:
            return await anext(pieces, None)

        pieces = self._engine.stream_generate(request)
        try:
            while (piece := self._loop.run(after(pieces))) is not None:
                yield piece
        finally:
            self._loop.run(pieces.aclose())  # type: ignore[attr-defined]

    def usage_statistics(self) -> Any:
        return self._engine.usage_statistics()

    def close(self) -> None:
        self._loop.run(self._engine.aclose())
        self._loop.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *words: self._loop.run(getattr(self._engine, name)(*words))


class Clock(SimpleNamespace):
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slept() -> list[float]:
    return []


Make = Callable[..., LocalEngine]


@pytest.fixture(params=[LocalEngine, Waiting], ids=["sync", "async"])
def make(request: pytest.FixtureRequest, server: OllamaServer, clock: Clock, slept: list[float]) -> Iterator[Make]:
    made = []

    def engine(host: str | None = server.url, api_key: Secret | None = None, **more: Any) -> LocalEngine:
        backoff = Backoff(attempts=3, base=1.0, lot=lambda: 0.5)
        settings = LocalEngineSettings(**{"backoff": backoff, "clock": clock, **more})
        made.append(request.param(host, api_key=api_key, settings=settings, sleep=slept.append))
        return made[-1]  # type: ignore[no-any-return]

    yield engine
    for one in made:
        one.close()


def test_an_answer(make: Make, server: OllamaServer) -> None:
    found = make().generate(ASKED)
    assert (found.text, found.model, found.tokens_generated, found.tokens_per_second) == ("forty two", MODEL, 4, 2.0)
    ((path, asked),) = server.asked
    assert path == "/api/generate"
    assert (asked["prompt"], asked["system"], asked["stream"]) == (ASKED.prompt, "Be brief.", False)
    assert (asked["options"], asked["keep_alive"]) == ({"temperature": 0.0, "num_predict": 9}, "30m")
    assert server.authorizations == [None]


def test_an_answer_in_pieces(make: Make, server: OllamaServer) -> None:
    engine = make()
    assert list(engine.stream_generate(ASKED)) == ["forty", " ", "two"]
    assert engine.generate(STREAMED).text == "forty two"
    assert [asked["stream"] for _, asked in server.asked] == [True, True]


def test_a_stream_that_is_left_is_closed(make: Make, server: OllamaServer) -> None:
    server.faults.append(lines(*PIECES * 1000, END))
    engine = make()
    with closing(engine.stream_generate(ASKED)) as pieces:  # type: ignore[type-var]
        assert next(pieces) == "forty"
    assert engine.generate(ASKED).text == "forty two"


def test_models(make: Make, server: OllamaServer, clock: Clock) -> None:
    engine = make(cache_seconds=60)
    model = OllamaModel(MODEL, 5.5, 1_500_000_000, 8192, True, "llama")
    assert engine.check_ollama_available()
    server.asked.clear()
    assert engine.list_models() == [model]
    assert engine.get_model_info(MODEL) == model
    assert [path for path, _ in server.asked] == ["/api/tags", "/api/show"]  # what was said is kept
    clock.now += 61
    assert engine.list_models() == [model]
    assert [path for path, _ in server.asked] == ["/api/tags", "/api/show"] * 2
    with pytest.raises(LocalModelMissingError, match="'huge:700b' is not installed"):
        engine.get_model_info("huge:700b")


def test_recommendations(make: Make, server: OllamaServer) -> None:
    server.faults.append(body(json.dumps({"models": [{"model": "codellama:7b"}, {"model": "other"}]}).encode()))
    engine = make()
    assert [(one.name, one.installed) for one in engine.recommend("code")] == [
        ("codellama:7b", True), ("deepseek-coder:7b", False), ("llama3:8b", False),
    ]  # fmt: skip
    assert engine.recommend("quality")[0].name == "llama3:70b"
    with pytest.raises(LocalRequestError, match="there is no use 'poetry'"):
        engine.recommend("poetry")


def test_a_pull_tells_how_far_it_is(make: Make, server: OllamaServer) -> None:
    engine = make()
    engine.list_models()
    steps: list[PullStep] = []
    engine.pull_model("llama3:8b", steps.append)
    first = PullStep("pulling abc", 40, 100)
    assert steps == [first, PullStep("pulling abc", 100, 100), PullStep("success", 0, 0)]
    engine.list_models()
    assert server.count("/api/tags") == 2  # the server has other models now
    engine.pull_model("llama3:8b")


def test_an_error_of_the_callers_own_is_the_callers(make: Make, server: OllamaServer) -> None:
    def fails(step: PullStep) -> None:
        raise ValueError("of the caller")

    with pytest.raises(ValueError, match="of the caller"):
        make().pull_model("llama3:8b", fails)
    assert server.count("/api/pull") == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (lines({"status": "pulling"}), LocalAnswerError),
        (lines({"status": "pulling"}, {"error": "pull model manifest: file does not exist"}), LocalModelMissingError),
        (failing(404, "no such entry"), LocalModelMissingError),
        (failing(403), LocalServerError),
        (lines("no object"), LocalAnswerError),
    ],
)
def test_pulls_that_fail(make: Make, server: OllamaServer, fault: OllamaFault, kind: type[LocalEngineError]) -> None:
    server.faults.append(fault)
    with pytest.raises(kind):
        make().pull_model("llama3:8b")


@pytest.mark.parametrize("request_", [ASKED, STREAMED], ids=["whole", "pieces"])
def test_it_fails_then_works(make: Make, server: OllamaServer, slept: list[float], request_: Any) -> None:
    server.faults.extend([failing(500), leaving])
    assert make().generate(request_).text == "forty two"
    server.faults.extend([failing(429), failing(503)])
    assert list(make().stream_generate(request_)) == ["forty", " ", "two"]
    assert slept == [1.0, 2.0] * 2


def test_it_fails_for_good(make: Make, server: OllamaServer, slept: list[float]) -> None:
    server.faults.extend([failing(500, "out of memory")] * 3)
    engine = make()
    with pytest.raises(LocalServerError, match="status 500: out of memory") as caught:
        engine.generate(ASKED)
    assert caught.value.status == 500
    assert (len(server.asked), slept) == (3, [1.0, 2.0])
    assert (engine.usage_statistics()[MODEL].failures, engine.usage_statistics()[MODEL].calls) == (1, 0)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (failing(400), LocalServerError),
        (failing(401), LocalServerError),
        (failing(404, f"model '{MODEL}' not found"), LocalModelMissingError),
        (body(b""), LocalAnswerError),
        (body(b"<html>", "text/html"), LocalAnswerError),
        (body(b"\xff\xfe"), LocalAnswerError),
        (body(b"[]"), LocalAnswerError),
        (body(b"[" * 100_000), LocalAnswerError),
        (body(b"{}"), LocalAnswerError),
        (body(b'{"response": 5, "done": true}'), LocalAnswerError),
        (body(b'{"response": "a", "done": true}'), LocalAnswerError),
        (body(b'{"response": "a", "done": false, "eval_count": 1}'), LocalAnswerError),
        (body(b'{"response": "", "done": true, "eval_count": 0}'), LocalAnswerError),
        (body(b'{"response": " \\n", "done": true, "eval_count": 1}'), LocalAnswerError),
        (body(b'{"response": "\\ud800", "done": true, "eval_count": 1}'), LocalAnswerError),
        (body(b'{"response": "' + b"a" * 200_000 + b'", "done": true, "eval_count": 1}'), LocalAnswerError),
    ],
)
def test_what_is_not_asked_again(
    make: Make, server: OllamaServer, slept: list[float], fault: OllamaFault, kind: type[LocalEngineError]
) -> None:
    server.faults.append(fault)
    with pytest.raises(kind) as caught:
        make(most_bytes=150_000).generate(ASKED)
    assert slept == []
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("fault", "pieces"),
    [
        (lines(*({**one, "eval_count": 1} for one in PIECES)), ["forty", " ", "two"]),  # the last line is missing
        (lines(*PIECES, end=b'{"model": "tiny:1b", "respon'), ["forty", " ", "two"]),
        (lines(*PIECES[:1], {"error": "the model ended"}), ["forty"]),
        (lines(*PIECES[:1], [1]), ["forty"]),
        (short, ["forty"]),
        (lines(END), []),
        (lines(), []),
    ],
)
def test_streams_that_are_cut_off(
    make: Make, server: OllamaServer, slept: list[float], fault: OllamaFault, pieces: list[str]
) -> None:
    """What was shown already is not said again: a stream is not begun anew after its first piece."""
    server.faults.append(fault)
    found: list[str] = []
    engine = make()
    with pytest.raises(LocalEngineError):
        found.extend(engine.stream_generate(ASKED))  # a list keeps what it got before
    assert slept == []
    server.faults.append(fault)
    collected: list[str] = []

    def collect() -> None:
        for piece in engine.stream_generate(ASKED):
            collected.append(piece)

    with pytest.raises(LocalEngineError):
        collect()
    assert collected == pieces


@pytest.mark.parametrize("fault", [hanging, dripping])
def test_time_is_over(make: Make, server: OllamaServer, slept: list[float], fault: OllamaFault) -> None:
    server.faults.append(fault)
    with pytest.raises(LocalTimeoutError, match="did not answer in time"):
        make(timeout_seconds=0.2).generate(ASKED)
    assert slept == []


def test_nobody_there(make: Make, slept: list[float]) -> None:
    with ollama_server() as gone:
        pass
    engine = make(gone.url)
    assert not engine.check_ollama_available()
    for ask in (engine.list_models, lambda: engine.generate(ASKED), lambda: list(engine.stream_generate(ASKED))):
        slept.clear()
        with pytest.raises(LocalConnectionError, match=f"no server of models answers at {gone.url}"):
            ask()
        assert slept == [1.0, 2.0]


@pytest.mark.parametrize("fault", [hanging, leaving, failing(500), body(b"<html>"), body(b"[]"), body(b"{}")])
def test_something_else_is_there(make: Make, server: OllamaServer, fault: OllamaFault) -> None:
    server.faults.append(fault)
    assert not make(control_seconds=0.2).check_ollama_available()


def test_the_host_of_the_environment(make: Make, server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert make(None).generate(ASKED).text == "forty two"


@pytest.mark.parametrize("host", ["http://a:b:c", "a:99999", "ftp://a", "http://user:secret-word@a:x"])
def test_no_host(make: Make, host: str) -> None:
    with pytest.raises(LocalRequestError) as caught:
        make(host)
    assert "secret-word" not in str(caught.value)


def test_the_key_is_sent_and_not_shown(make: Make, server: OllamaServer) -> None:
    engine = make(api_key=Secret(KEY))
    assert engine.generate(ASKED).text == "forty two"
    for before in (0, 190):  # where an error's words are cut
        server.faults.append(failing(401, f"{'x' * before} wrong key {KEY}"))
        with pytest.raises(LocalServerError, match="status 401") as caught:
            engine.generate(ASKED)
        assert KEY[:12] not in str(caught.value) + caught.value.message + repr(caught.value)
        assert caught.value.__cause__ is caught.value.__context__ is None
    assert server.authorizations == [f"Bearer {KEY}"] * 3


def test_statistics(make: Make, server: OllamaServer, clock: Clock) -> None:
    engine = make()

    def slow(seconds: float) -> OllamaFault:
        def answer(exchange: Any) -> None:
            clock.now += seconds
            lines({**END, "response": "a"})(exchange)

        return answer

    server.faults.extend(slow(seconds) for seconds in (1.0, 2.0, 3.0, 10.0))
    for _ in range(4):
        engine.generate(ASKED)
    (found,) = engine.usage_statistics().values()
    assert (found.calls, found.failures, found.tokens) == (4, 0, 16)
    assert (found.latency_mean_ms, found.latency_p50_ms, found.latency_p95_ms) == (4000, 2000, 10_000)
    assert found.tokens_per_second == 1.0


@pytest.mark.parametrize(
    "words",
    [{"prompt": " "}, {"model": ""}, {"temperature": float("nan")}, {"temperature": -1.0}, {"max_tokens": 0},
     {"prompt": "\ud800"}],
)  # fmt: skip
def test_requests_that_cannot_be(words: dict[str, Any]) -> None:
    with pytest.raises(LocalRequestError):
        LocalInferenceRequest(**{"prompt": "Hi", "model": MODEL, **words})


def test_many_answers_at_once(server: OllamaServer) -> None:
    async def ask() -> list[str]:
        async with AsyncLocalEngine(server.url) as engine:
            found = await asyncio.gather(*(engine.generate(ASKED) for _ in range(10)))
            async with aclosing(engine.stream_generate(ASKED)) as pieces:  # type: ignore[type-var]
                async for _ in pieces:
                    break
            return [one.text for one in found]

    assert asyncio.run(ask()) == ["forty two"] * 10
