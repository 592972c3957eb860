"""The public files of a model: complete, by ranges, kept by their hash, and nothing else of the folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.responses import FileResponse
from starlette.types import Message

from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.program.file_names import PROGRAM_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from node.gateway import sent_file
from node.gateway.app import build_app
from node.gateway.deps import Deps
from node.gateway.errors import UnavailableError
from node.gateway.open_accounts import SingleKeyAccounts
from node.gateway.sent_file import new_transfers
from node.gateway.settings import GatewaySettings
from node.gateway.shared_places import OWN_MACHINE, SharedPlaces, remote_address
from tests.support.gateway_server import served_gateway
from tests.support.scripted_service import CHAT, TEXT, ScriptedService, scripted_models

pytestmark = pytest.mark.fast

WEIGHTS = bytes(range(256)) * 300
PUBLISHER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
RECORD = ModelVersion(bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32, 10**20, 1, SemVer(1, 2, 3), "bafk")
SLASHED = "group/model"


@pytest.fixture
def service(tmp_path: Path) -> ScriptedService:
    """The chat model has weights, and a secret beside them; the one that continues texts has none."""
    made = ScriptedService(scripted_models(tmp_path))
    made.models = [replace(model, publisher=PUBLISHER, record=RECORD) for model in made.models]
    folder = made.model(CHAT).files.folder
    (folder / WEIGHTS_FILE).write_bytes(WEIGHTS)
    (folder / "secret.txt").write_text("secret")
    made.models.append(replace(made.model(CHAT), name=SLASHED))
    return made


@pytest.fixture
def client(service: ScriptedService) -> Iterator[httpx.Client]:
    with served_gateway(service) as url, httpx.Client(base_url=url, trust_env=False) as found:
        yield found


@pytest.mark.parametrize("name", [CHAT, SLASHED])
def test_the_list_says_what_is_there_and_which_version_it_is(
    client: httpx.Client, service: ScriptedService, name: str
) -> None:
    found = client.get(f"/v1/models/{name}/files").json()
    folder = service.model(CHAT).files.folder
    for entry in found["data"]:
        data = (folder / entry["name"]).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(data), "0x" + sha256(data).hexdigest())
    assert [entry["name"] for entry in found["data"]] == [PROGRAM_FILE, WEIGHTS_FILE, TOKENIZER_FILE]
    assert found["model_version"] == "0x" + service.model(CHAT).version.hex()
    assert found["publisher"] == PUBLISHER
    assert found["version"] == {
        "weights_root": "0x" + "01" * 32,
        "program_root": "0x" + "02" * 32,
        "tokenizer_hash": "0x" + "03" * 32,
        "parent": "0x" + "00" * 32,
        "price_per_token": str(10**20),
        "layers": 1,
        "semver": [1, 2, 3],
        "manifest_cid": "bafk",
    }


@pytest.mark.parametrize("name", [CHAT, SLASHED])
def test_a_file_comes_whole_and_by_ranges(client: httpx.Client, name: str) -> None:
    path = f"/v1/models/{name}/files/{WEIGHTS_FILE}"
    whole = client.get(path)
    assert (whole.status_code, whole.content) == (200, WEIGHTS)
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = client.get(path, headers={"range": "bytes=100-355"})
    assert (part.status_code, part.content) == (206, WEIGHTS[100:356])
    assert part.headers["content-range"] == f"bytes 100-355/{len(WEIGHTS)}"
    assert client.get(path, headers={"range": f"bytes={len(WEIGHTS)}-"}).status_code == 416
    several = client.get(path, headers={"range": "bytes=0-1,5-6"})
    assert several.status_code == 400
    assert "one range" in several.json()["error"]["message"]
    head = client.head(path)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(WEIGHTS)))


def test_an_address_with_the_hash_is_for_ever(client: httpx.Client) -> None:
    digest = "0x" + sha256(WEIGHTS).hexdigest()
    path = f"/v1/models/{CHAT}/files/{WEIGHTS_FILE}"
    found = client.get(path, params={"sha256": digest})
    assert found.content == WEIGHTS
    assert "immutable" in found.headers["cache-control"]
    plain = client.get(path)
    assert "immutable" not in plain.headers["cache-control"]
    assert plain.headers["etag"] == found.headers["etag"] == f'"{digest}"'
    again = client.get(path, headers={"if-none-match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(path, params={"sha256": "0x" + "00" * 32}).status_code == 404


def test_a_file_that_is_exchanged_has_another_hash(client: httpx.Client, service: ScriptedService) -> None:
    path = f"/v1/models/{CHAT}/files/{WEIGHTS_FILE}"
    before = client.get(path).headers["etag"]
    (service.model(CHAT).files.folder / WEIGHTS_FILE).write_bytes(b"other")
    found = client.get(path)
    assert found.content == b"other"
    assert found.headers["etag"] != before


@pytest.mark.parametrize(
    "name",
    [
        "secret.txt",
        "config.json",
        "..%2Fsecret.txt",
        "..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        "....//secret.txt",
        "weights.safetensors%00",
        "WEIGHTS.safetensors",
        "%2e%2e",
    ],
)
def test_nothing_else_of_the_folder_is_given_out(client: httpx.Client, name: str) -> None:
    found = client.get(f"/v1/models/{CHAT}/files/{name}")
    assert found.status_code == 404
    assert b"secret" not in found.content.replace(b"secret.txt", b"")


def test_models_without_weights_or_without_a_record_are_refused(client: httpx.Client, service: ScriptedService) -> None:
    assert "nexus verify" in client.get(f"/v1/models/{TEXT}/files").json()["error"]["message"]
    assert client.get(f"/v1/models/{TEXT}/files/{WEIGHTS_FILE}").status_code == 404
    assert client.get("/v1/models/none/files").json()["error"]["code"] == "model_not_found"
    service.models = [replace(model, record=None) for model in service.models]
    assert client.get(f"/v1/models/{CHAT}/files").status_code == 404


def test_a_model_is_still_found_by_its_name(client: httpx.Client) -> None:
    assert client.get(f"/v1/models/{SLASHED}").json()["id"] == SLASHED


def test_more_transfers_than_are_allowed_come_back_later(service: ScriptedService) -> None:
    transfers = new_transfers(1)
    with served_gateway(service, transfers=transfers) as url, httpx.Client(base_url=url, trust_env=False) as client:
        path = f"/v1/models/{CHAT}/files/{WEIGHTS_FILE}"
        with transfers.take(OWN_MACHINE):
            refused = client.get(path)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert client.get(path).content == WEIGHTS
        assert client.get(path, headers={"range": "bytes=9-0"}).status_code in (400, 416)
        assert client.get(path).content == WEIGHTS


class Reader:
    """Takes ``most`` messages of a response, each after ``seconds`` by a clock of its own, and then nothing more."""

    def __init__(self, most: int = 1 << 30, seconds: float = 0.0) -> None:
        self.taken: list[Message] = []
        self.now = 0.0
        self._most, self._seconds = most, seconds

    @property
    def status(self) -> int:
        return int(self.taken[0]["status"])

    @property
    def is_whole(self) -> bool:
        return self.taken[-1].get("more_body") is False

    async def send(self, message: Message) -> None:
        if len(self.taken) == self._most:
            await asyncio.Event().wait()
        self.now += self._seconds
        self.taken.append(message)


async def nothing_more() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def begun(app: Any, reader: Reader, address: str, spec: str = "2.3") -> asyncio.Task[None]:
    """One reader of the weights, from ``address``."""
    path = f"/v1/models/{CHAT}/files/{WEIGHTS_FILE}"
    bodies = [{"type": "http.request", "body": b"", "more_body": False}]
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": spec}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
        "client": (address, 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip

    async def receive() -> Message:
        return bodies.pop() if bodies else await nothing_more()

    return asyncio.create_task(app(scope, receive, reader.send))


def application(service: ScriptedService, transfers: SharedPlaces) -> Any:
    return build_app(Deps(service, SingleKeyAccounts("k"), transfers=transfers), GatewaySettings())


async def taken_by(reader: Reader) -> None:
    """Wait until the reader has the response's beginning."""
    while not reader.taken:
        await asyncio.sleep(0.001)


def test_one_address_does_not_take_every_transfer(service: ScriptedService) -> None:
    transfers = new_transfers(3, 2)

    async def work() -> None:
        app = application(service, transfers)
        slow = [Reader(most=1) for _ in range(2)]
        tasks = [begun(app, reader, "203.0.113.7") for reader in slow]
        for reader in slow:
            await taken_by(reader)
        refused, other = Reader(), Reader()
        await begun(app, refused, "203.0.113.7")
        await begun(app, other, "203.0.113.8")
        assert (refused.status, other.status, other.is_whole) == (503, 200, True)
        assert b"your address" in refused.taken[1]["body"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert transfers.taken == 0

    asyncio.run(work())


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
def test_a_reader_who_takes_nothing_loses_the_transfer(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setattr(sent_file, "SLACK_SECONDS", 0.01)
    transfers = new_transfers()

    async def work() -> None:
        stuck = Reader(most=0)
        await begun(application(service, transfers), stuck, "203.0.113.7", spec)
        assert (stuck.taken, transfers.taken) == ([], 0)

    asyncio.run(work())


@pytest.mark.parametrize(("seconds", "is_whole"), [(0.0, True), (1.0, True), (20.0, False)])
def test_a_reader_who_always_takes_a_little_has_to_take_enough(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch, seconds: float, is_whole: bool
) -> None:
    monkeypatch.setattr(FileResponse, "chunk_size", 1 << 10)
    monkeypatch.setattr(sent_file, "LEAST_BYTES_PER_SECOND", 1 << 10)
    transfers = new_transfers()

    async def work() -> None:
        reader = Reader(seconds=seconds)
        monkeypatch.setattr(sent_file, "monotonic", lambda: reader.now)
        await begun(application(service, transfers), reader, "203.0.113.7")
        assert (reader.status, reader.is_whole, transfers.taken) == (200, is_whole, 0)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("203.0.113.7", 1), "203.0.113.7"),
        (("::ffff:203.0.113.7", 1), "203.0.113.7"),
        (("2001:db8:1:2:aaaa::1", 1), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:bbbb::2", 9), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (("127.0.0.1", 1), OWN_MACHINE),
        (("::1", 1), OWN_MACHINE),
        (("proxy-7", 1), "proxy-7"),
        (None, OWN_MACHINE),
    ],
)
def test_an_address_is_what_one_machine_has(client: Any, address: str) -> None:
    assert remote_address({"type": "http", "client": client}) == address


def test_a_place_is_given_back_once() -> None:
    places = SharedPlaces(2, 1, "things", 1.0)
    first, second = places.take("a"), places.take("b")
    first.give_back()
    first.give_back()
    assert places.taken == 1
    places.take("a")
    with pytest.raises(UnavailableError, match="has 2 things"):
        places.take(OWN_MACHINE)
    second.give_back()
    assert places.take(OWN_MACHINE)
