"""The public files of a model: complete, by ranges, kept by their hash, and nothing else of the folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.program.file_names import PROGRAM_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from node.gateway.public_files import PublicFiles
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
    files = PublicFiles(at_once=1)
    with served_gateway(service, files=files) as url, httpx.Client(base_url=url, trust_env=False) as client:
        path = f"/v1/models/{CHAT}/files/{WEIGHTS_FILE}"
        with files.transfer():
            refused = client.get(path)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert client.get(path).content == WEIGHTS
        assert client.get(path, headers={"range": "bytes=9-0"}).status_code in (400, 416)
        assert client.get(path).content == WEIGHTS
