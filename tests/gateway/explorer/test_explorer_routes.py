"""The explorer's addresses: public, paged, of an age that is told, and pushed as it happens."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from nexus_chain.chain.bound import BoundContract
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.errors import TransactionError
from node.gateway.errors import UnavailableError
from node.gateway.explorer import explorer as explorer_module
from node.gateway.explorer.feed import LISTENERS_OF_ADDRESS, MOST_LISTENERS, EventFeed
from tests.gateway.explorer.conftest import Watched
from tests.support.chain_world import World
from tests.support.gateway_server import served_gateway
from tests.support.scripted_service import ScriptedService

Make = Callable[[Contracts], Watched]


@pytest.fixture
def pushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain is looked at often, so that no test waits."""
    monkeypatch.setattr(explorer_module, "CHAIN_LOOK_SECONDS", 0.02)


@pytest.fixture
def url(watched: Watched) -> Iterator[str]:
    """A gateway with the explorer, which looks when the test does."""
    watched.explorer.look()
    with served_gateway(ScriptedService([]), explorer=watched.explorer) as found:
        yield found


def get(url: str, path: str, **more: Any) -> httpx.Response:
    return httpx.get(f"{url}/explorer/{path}", timeout=30, **more)


def test_everything_is_public_and_says_how_old_it_is(world: World, watched: Watched, url: str) -> None:
    session = "0x" + world.open().hex()
    watched.explorer.look()
    version = "0x" + world.version.hex()
    paths = ["summary", "models", f"models/{version}", "nodes", f"nodes/{world.nodes[0].lower()}", "sessions",
             f"sessions/{session}", "settlements", f"settlements?node={world.nodes[0]}", "disputes"]  # fmt: skip
    for path in paths:
        found = get(url, path)
        assert found.status_code == 200, (path, found.text)
        as_of = found.json()["as_of"]
        assert (as_of["block"], as_of["behind"], as_of["problem"]) == (as_of["chain_block"], False, None), path
        assert as_of["age_seconds"] >= 0


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("models/0x12", 400, "invalid_request"),
        ("models/" + "0x" + "ab" * 32, 404, "not_found"),
        ("sessions/latest", 400, "invalid_request"),
        ("sessions/" + "0x" + "ab" * 32, 404, "not_found"),
        ("nodes/me", 400, "invalid_request"),
        ("nodes/0x" + "77" * 20, 404, "not_found"),
        ("disputes/1", 404, "not_found"),
        ("disputes/-1", 400, "invalid_request"),
        ("disputes/" + "9" * 19, 400, "invalid_request"),
        ("models?limit=0", 400, "invalid_request"),
        ("models?limit=101", 400, "invalid_request"),
        ("models?limit=ten", 400, "invalid_request"),
        ("models?before=now", 400, "invalid_request"),
        ("settlements?node=you", 400, "invalid_request"),
        ("nothing", 404, "not_found"),
    ],
)
def test_what_is_not_there_or_no_address_is_said(url: str, path: str, status: int, code: str) -> None:
    found = get(url, path)
    assert (found.status_code, found.json()["error"]["code"]) == (status, code)


def test_a_document_is_written_once_for_all_who_ask_and_on_no_thread_that_serves(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.explorer.look()
    threads: list[str] = []

    def make(context: Any) -> dict[str, Any]:
        return {"long": "é" * 10}

    real = explorer_module.json_bytes

    def noted(value: Any) -> bytes:
        if "long" in value:
            threads.append(threading.current_thread().name.rpartition("_")[0])
        return real(value)

    monkeypatch.setattr(explorer_module, "json_bytes", noted)

    async def work() -> None:
        found = await asyncio.gather(*(watched.explorer.document("a", make) for _ in range(5)))
        found.append(await watched.explorer.document("a", make))
        for text in found:
            told = json.loads(text or b"")
            assert (told["long"], told["as_of"]["problem"]) == ("é" * 10, None)

    asyncio.run(work())
    assert threads == ["nexus-documents"]


def test_few_documents_are_kept_and_the_oldest_go_first(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.explorer.look()
    monkeypatch.setattr(explorer_module, "_MOST_DOCUMENT_BYTES", 250)
    monkeypatch.setattr(explorer_module, "_CACHE_SECONDS", 1e9)
    made: list[str] = []

    async def ask(name: str) -> None:
        await watched.explorer.document(name, lambda context: made.append(name) or {"text": "x" * 90})

    async def work() -> None:
        for name in ("a", "b", "c", "b", "c", "a"):
            await ask(name)
        for number in range(2 * explorer_module._MOST_DOCUMENTS):
            assert await watched.explorer.document(number, lambda context: None) is None
        assert len(watched.explorer._documents) == explorer_module._MOST_DOCUMENTS

    asyncio.run(work())
    assert made == ["a", "b", "c", "a"]


def test_a_gateway_without_a_chain_says_so() -> None:
    with served_gateway(ScriptedService([])) as url:
        assert get(url, "summary").status_code == 404
        assert get(url, "events").status_code == 404


def events_from(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(name, data, id) of each event of a stream."""
    name, id = "", ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("id: "):
            id = line[4:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:]), id


def until(stream: Iterator[tuple[str, dict[str, Any], str]], wanted: str) -> tuple[dict[str, Any], str]:
    for name, data, id in stream:
        if name == wanted:
            return data, id
    raise AssertionError(f"the stream ended without {wanted}")


@pytest.fixture
def live(world: World, watched: Watched, pushing: None) -> Iterator[str]:
    """A gateway whose explorer follows the chain by itself, in the loop that serves."""
    import uvicorn

    from node.gateway.app import build_app
    from node.gateway.deps import Deps
    from node.gateway.open_accounts import SingleKeyAccounts
    from node.gateway.settings import GatewaySettings

    app = build_app(Deps(ScriptedService([]), SingleKeyAccounts("k"), explorer=watched.explorer), GatewaySettings())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=5))
    ready = threading.Event()
    tasks: list[asyncio.Task[None]] = []

    async def serve() -> None:
        tasks.append(asyncio.create_task(watched.explorer.run()))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        ready.set()
        await serving
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def test_what_happens_is_pushed_and_missed_events_are_told_again(world: World, live: str) -> None:
    with httpx.stream("GET", f"{live}/explorer/events", timeout=60) as response:
        stream = events_from(response)
        assert until(stream, "state")[0]["chain_id"] == world.user.deployment.chain_id
        session = "0x" + world.open().hex()
        data, first = until(stream, "event")
        while data["name"] != "SessionOpened":
            data, first = until(stream, "event")
        assert (data["session"], data["contract"], data["id"]) == (session, "market", first.rpartition("-")[0])
        assert get(live, f"sessions/{session}").status_code == 200  # whoever is told finds it
    world.user.market.close(bytes.fromhex(session[2:]))
    headers = {"last-event-id": first}
    with httpx.stream("GET", f"{live}/explorer/events", headers=headers, timeout=60) as response:
        data, _ = until(events_from(response), "event")
        assert (data["name"], data["session"]) == ("SessionClosed", session)
    for id in ("1-7", first.rpartition("-")[0] + "-00000000"):  # none; and one of a chain that is void
        with httpx.stream("GET", f"{live}/explorer/events", headers={"last-event-id": id}, timeout=60) as response:
            assert "block" in until(events_from(response), "reset")[0]
    assert get(live, "events", headers={"last-event-id": "x"}).status_code == 400


def test_a_reorganisation_is_a_reset(world: World, live: str) -> None:
    snapshot = world.chain.connection.request("evm_snapshot")
    with httpx.stream("GET", f"{live}/explorer/events", timeout=60) as response:
        stream = events_from(response)
        session = "0x" + world.open().hex()
        while until(stream, "event")[0]["session"] != session:
            pass
        world.chain.connection.request("evm_revert", snapshot)
        until(stream, "reset")
        assert get(live, f"sessions/{session}").status_code == 404


def test_who_was_away_during_a_reorganisation_is_told(world: World, live: str) -> None:
    """The last event that the listener saw stands again at the same place, after others."""
    snapshot = world.chain.connection.request("evm_snapshot")
    with httpx.stream("GET", f"{live}/explorer/events", timeout=60) as response:
        stream = events_from(response)
        world.open()
        _, seen = until(stream, "event")
        world.chain.connection.request("evm_revert", snapshot)
        until(stream, "reset")
    place = seen.rpartition("-")[0]
    world.open()
    while not any(one["id"] == place for one in get(live, "sessions").json()["items"]):
        pass
    with httpx.stream("GET", f"{live}/explorer/events", headers={"last-event-id": seen}, timeout=60) as response:
        until(events_from(response), "reset")


def test_a_chain_that_is_away_makes_answers_old_and_they_say_so(
    world: World, live: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with httpx.stream("GET", f"{live}/explorer/events", timeout=60) as response:
        stream = events_from(response)
        until(stream, "state")

        def away(*_: object) -> None:
            raise TransactionError("the chain is away", advice="Wait.")

        with monkeypatch.context() as patch:
            patch.setattr(BoundContract, "events_of", away)
            session = world.open()
            while "away" not in (until(stream, "state")[0]["problem"] or ""):
                pass
            found = get(live, "summary")
            assert found.status_code == 200
            assert "away" in found.json()["as_of"]["problem"]
        while until(stream, "state")[0]["problem"] is not None:
            pass
        assert get(live, f"sessions/0x{session.hex()}").status_code == 200


def test_listeners_are_bounded_and_a_slow_one_is_let_go() -> None:
    async def play() -> None:
        feed = EventFeed()
        streams = [feed.listen([b"first"]) for _ in range(MOST_LISTENERS)]
        with pytest.raises(UnavailableError):
            feed.listen([])
        assert await anext(streams[0]) == b"first"
        for number in range(2_000):
            feed.tell("state", {"n": number})
        assert [text async for text in streams[0]] == []  # nothing in part: it comes back and asks for all
        feed.listen([])  # there is room again
        feed.close()
        with pytest.raises(UnavailableError):
            feed.listen([])

    asyncio.run(play())


def test_a_listener_who_leaves_before_anything_was_sent_takes_no_place() -> None:
    async def work() -> None:
        feed = EventFeed()
        for _ in range(2 * MOST_LISTENERS):
            feed.listen([])  # and nobody ever reads it
        streams = [feed.listen([]) for _ in range(MOST_LISTENERS)]
        assert len(streams) == MOST_LISTENERS

    asyncio.run(work())


def test_one_address_does_not_take_every_listeners_place() -> None:
    async def work() -> None:
        feed = EventFeed()
        streams = [feed.listen([b"first"], "203.0.113.7") for _ in range(LISTENERS_OF_ADDRESS)]
        with pytest.raises(UnavailableError, match="your address"):
            feed.listen([], "203.0.113.7")
        assert await anext(feed.listen([b"first"], "203.0.113.8")) == b"first"
        del streams[0]
        assert await anext(feed.listen([b"first"], "203.0.113.7")) == b"first"

    asyncio.run(work())


def test_what_is_told_while_a_listener_is_coming_is_not_lost(world: World, watched: Watched) -> None:
    """An event is told after what a new listener missed was read, and before it listens."""
    explorer = watched.explorer
    explorer.look()
    world.open()
    real, late = explorer._missed, [explorer._look]

    def missed(seen: Any) -> list[bytes]:
        found = real(seen)
        while late:
            explorer._tell(*late.pop()())
        return found

    async def work() -> None:
        seen = f"{list(watched.archive.events())[-1].id}-{explorer._reading}"
        explorer._missed = missed  # type: ignore[method-assign]
        stream = await explorer.listen(seen)
        assert b"event: state" in await anext(stream)
        assert b"SessionOpened" in await anext(stream)

    asyncio.run(work())


def test_closing_ends_every_stream() -> None:
    async def play() -> None:
        feed = EventFeed()
        stream = feed.listen([])
        feed.tell("state", {"n": 1}, "1-2")
        assert await anext(stream) == b'id: 1-2\nevent: state\ndata: {"n":1}\n\n'
        feed.close()
        assert [text async for text in stream] == []

    asyncio.run(play())
