"""The catalogue as a gateway fetches from it: progress, an error in the gateway's words, unknown names."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from nexus_chain.client.home import ClientHome
from nexus_chain.workflows.catalogue import CatalogueEntry, catalogue
from nexus_chain.workflows.errors import DownloadError
from nexus_chain.workflows.observer import TaskObserver
from node.gateway.catalogue import PullProgress
from node.gateway.errors import UnavailableError, UnknownModelError
from node.gateway.known_models import KnownModels

NAME = "all-minilm-l6-v2"
MODULE = "node.gateway.known_models.fetch_model"


async def pulled(models: KnownModels, name: str) -> list[PullProgress]:
    return [step async for step in models.pull(name)]


def test_a_transfer_is_told_by_the_per_cent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(entry: CatalogueEntry, home: ClientHome, observer: TaskObserver) -> Path:
        assert home.root == tmp_path
        with observer.stage("Fetching") as advance:
            for done in (0, 1, 500, 501, 1000):
                advance(done, 1000)
        return tmp_path

    monkeypatch.setattr(MODULE, fetch)
    digest, words = f"sha256:{catalogue()[NAME].sha256}", f"pulling {NAME}"
    steps = [PullProgress(words, digest, 1000, done) for done in (0, 500, 1000)]
    found = asyncio.run(pulled(KnownModels(ClientHome(tmp_path)), NAME))
    assert found == [PullProgress(words), *steps, PullProgress("success")]


def test_what_goes_wrong_is_a_gateway_s_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(entry: CatalogueEntry, home: ClientHome, observer: TaskObserver) -> Path:
        raise DownloadError("no room", advice="Make room.")

    monkeypatch.setattr(MODULE, fetch)
    models = KnownModels(ClientHome(tmp_path))
    with pytest.raises(UnavailableError, match=r"no room\. Make room\."):
        asyncio.run(pulled(models, NAME))
    with pytest.raises(UnknownModelError, match="gpt-5") as error:
        models.pull("gpt-5")
    assert NAME in error.value.advice
    assert tuple(models.names()) == tuple(catalogue())


def test_whoever_waits_for_a_transfer_takes_no_thread_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More wait than the loop's own threads are, and one of these is free all the same."""
    begun, go_on = threading.Event(), threading.Event()

    def fetch(entry: CatalogueEntry, home: ClientHome, observer: TaskObserver) -> Path:
        begun.set()
        assert go_on.wait(60)
        return tmp_path

    async def work() -> None:
        models = KnownModels(ClientHome(tmp_path))
        waiting = [asyncio.create_task(pulled(models, NAME)) for _ in range(40)]
        await asyncio.to_thread(begun.wait, 60)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 30) == "free"
        go_on.set()
        assert {steps[-1].status for steps in await asyncio.gather(*waiting)} == {"success"}

    monkeypatch.setattr(MODULE, fetch)
    asyncio.run(work())
