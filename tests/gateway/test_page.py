"""The page under /app: which files, under which policy; a browser that visits the gateway is led to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from node.gateway.app import build_app
from node.gateway.deps import Deps
from node.gateway.open_accounts import SingleKeyAccounts
from node.gateway.page import BUILT, page_files
from node.gateway.settings import GatewaySettings
from tests.support.scripted_service import ScriptedService

pytestmark = pytest.mark.fast

DOCUMENT = "<!doctype html><title>Neural Nexus</title>" + " " * 2000
SCRIPT = "export const one = 1;"
BROWSER = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A small page that was built, beside a file that nobody may fetch."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(DOCUMENT)
    (folder / "assets" / "index-abc.js").write_text(SCRIPT)
    (tmp_path / "secret.txt").write_text("a key")
    return folder


def get(folder: Path, path: str, **headers: str) -> httpx.Response:
    """What a gateway with this page answers, without following where it leads."""
    deps = Deps(ScriptedService([]), SingleKeyAccounts("sk-nexus-of-a-test"), page=folder)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(build_app(deps, GatewaySettings()))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/app/", "/app/index.html", "/app/explorer/disputes/0x12", "/app/chat"])
def test_every_place_of_the_page_is_its_one_document(built: Path, path: str) -> None:
    found = get(built, path)
    assert (found.status_code, found.text) == (200, DOCUMENT)
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert found.headers["cache-control"] == "no-cache"


def test_the_policy_allows_the_pages_own_files_alone(built: Path) -> None:
    rules = dict(rule.split(" ", 1) for rule in get(built, "/app/").headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'self'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert {rules[name] for name in ("object-src", "base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe-inline" not in str(rules)
    assert get(built, "/app/").headers["x-content-type-options"] == "nosniff"


def test_a_file_with_a_hash_in_its_name_is_kept_for_ever(built: Path) -> None:
    found = get(built, "/app/assets/index-abc.js")
    assert (found.text, found.headers["content-type"]) == (SCRIPT, "text/javascript; charset=utf-8")
    assert "immutable" in found.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    ["/app/assets/index-old.js", "/app/../secret.txt", "/app/%2e%2e/secret.txt", "/app/..%2fsecret.txt",
     "/app//etc/passwd.txt", "/app/assets/../../secret.txt", "/app/assets/gone"],
)  # fmt: skip
def test_what_is_no_file_of_the_page_is_not_found(built: Path, path: str) -> None:
    found = get(built, path)
    assert found.status_code == 404
    assert "a key" not in found.text


def test_a_browser_that_has_the_file_is_told_so(built: Path) -> None:
    etag = get(built, "/app/").headers["etag"]
    found = get(built, "/app/", **{"if-none-match": etag})
    assert (found.status_code, found.content) == (304, b"")


def test_large_files_travel_compressed_to_whoever_reads_that(built: Path) -> None:
    found = get(built, "/app/", **{"accept-encoding": "gzip"})
    assert found.headers["content-encoding"] == "gzip"
    assert found.text == DOCUMENT
    assert "content-encoding" not in get(built, "/app/", **{"accept-encoding": "identity"}).headers


def test_a_browser_that_visits_the_gateway_is_led_to_the_page_and_ollamas_clients_are_not(built: Path) -> None:
    led = get(built, "/", **BROWSER)
    assert (led.status_code, led.headers["location"]) == (307, "/app/")
    assert get(built, "/", accept="*/*").text == "Ollama is running"
    assert get(built, "/app").headers["location"] == "/app/"


def test_a_gateway_without_a_built_page_says_how_to_build_it(tmp_path: Path) -> None:
    found = get(tmp_path / "nothing", "/app/")
    assert found.status_code == 404
    assert "make web" in found.text


def test_the_shipped_page_is_whole() -> None:
    files = page_files(BUILT)
    document = files["index.html"].content.decode()
    named = {part.split('"')[0] for part in document.split('"/app/')[1:]}
    assert named
    assert named <= set(files)
