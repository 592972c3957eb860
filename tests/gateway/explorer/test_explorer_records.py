"""Figures of certificates: fetched beside the look at the chain, a few at once, and fairly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.rpc_answers import BlockHead
from nexus_chain.content.block_store import BlockSource
from nexus_chain.content.cid import Cid
from nexus_chain.content.errors import BlockMissingError
from nexus_chain.workflows import certified_quality
from nexus_chain.workflows.certified_quality import CertifiedQuality
from node.gateway.explorer import records as records_module
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import CERTIFICATES, KeptEvent
from node.gateway.explorer.model_view import QUALITY_NOTE
from node.gateway.explorer.records import FETCHED_AT_ONCE, LONGEST_RETRY_SECONDS, RETRY_FIGURES_SECONDS, RecordReader

pytestmark = pytest.mark.fast

HONEST, FLOOD = "0x" + "11" * 20, "0x" + "22" * 20


class Slowly(Executor):
    """Begins nothing by itself. ``waiting``: what was handed in, to be done when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any]] = []

    def submit(self, work: Any, /, *words: Any, **more: Any) -> Future[Any]:
        made: Future[Any] = Future()
        self.waiting.append((made, lambda: work(*words, **more)))
        return made

    def do_all(self) -> None:
        while self.waiting:
            made, work = self.waiting.pop(0)
            made.set_result(work())


class Fetching:
    """A reader of records over an archive, with a clock and threads of the test's.

    ``there``: CIDs that somebody has. ``asked``: those that were asked for, in order.
    """

    def __init__(self, archive: ChainArchive) -> None:
        self.archive, self.now, self.threads = archive, 0.0, Slowly()
        self.there: set[str] = set()
        self.asked: list[str] = []
        contracts = cast(Any, SimpleNamespace(models=None))
        self.reader = RecordReader(contracts, archive, lambda: cast(BlockSource, self), lambda: self.now, self.threads)
        self._block = 0

    def get(self, cid: Cid) -> bytes:
        raise AssertionError("nothing asks for a block here")

    def anchor(self, number: int, publisher: str = HONEST, cid: str | None = None) -> None:
        self._block += 1
        version = f"0x{number:064x}"
        arguments = {"modelVersion": version, "publisher": publisher, "contentHash": "0x" + "00" * 32,
                     "cid": cid or f"cid-{number}"}  # fmt: skip
        event = KeptEvent(self._block, 0, 7, CERTIFICATES, "Anchored", "0x", arguments, version=version)
        self.archive.add([event], BlockHead(self._block, bytes([self._block]) * 32, 7))

    def look(self) -> bool:
        return self.reader.read_certificates()

    def rounds(self) -> list[str]:
        """What one look has fetched, once it is done; taken in by another look that begins nothing."""
        self.asked.clear()
        self.look()
        self.threads.do_all()
        return list(self.asked)

    def quality(self, number: int) -> dict[str, Any] | None:
        return self.archive.noted(QUALITY_NOTE, f"0x{number:064x}")


@pytest.fixture
def fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetching]:
    archive = ChainArchive(tmp_path / "explorer.sqlite", "one")
    made = Fetching(archive)

    def read_quality(
        blocks: BlockSource, anchored: AnchoredCertificate, version: bytes, publisher: str
    ) -> CertifiedQuality:
        made.asked.append(anchored.cid)
        if anchored.cid not in made.there:
            raise BlockMissingError("nobody has it", advice="Ask its publisher.")
        return CertifiedQuality("a-format", publisher, {"perplexity": "2"})

    monkeypatch.setattr(certified_quality, "read_quality", read_quality)
    yield made
    archive.close()


def test_a_look_waits_for_no_certificate_and_the_next_has_it(fetching: Fetching) -> None:
    fetching.anchor(1)
    fetching.there.add("cid-1")
    assert not fetching.look()
    assert (fetching.asked, fetching.quality(1)) == ([], None)
    assert not fetching.look()
    assert len(fetching.threads.waiting) == 1, "it is under way once"
    fetching.threads.do_all()
    assert fetching.look()
    found = {"format": "a-format", "name": HONEST, "figures": {"perplexity": "2"}, "problem": None}
    assert fetching.quality(1) == found
    assert not fetching.look()
    assert fetching.threads.waiting == []


def test_a_look_has_a_few_fetched_and_of_one_publisher_half_of_these(fetching: Fetching) -> None:
    for number in range(100):
        fetching.anchor(number, FLOOD)
    fetching.look()
    assert len(fetching.threads.waiting) == FETCHED_AT_ONCE // 2
    fetching.anchor(100, HONEST)
    fetching.there.add("cid-100")
    fetching.look()
    assert len(fetching.threads.waiting) == FETCHED_AT_ONCE // 2 + 1
    fetching.threads.do_all()
    assert fetching.look()
    assert fetching.quality(100) is not None


def test_a_publisher_of_many_that_nobody_has_does_not_hold_up_another(fetching: Fetching) -> None:
    for number in range(50):
        fetching.anchor(number, FLOOD)
    fetching.rounds()
    for number in range(50, 55):
        fetching.anchor(number, HONEST)
    assert "cid-50" in fetching.rounds()


def test_what_was_not_found_is_left_alone_longer_each_time(fetching: Fetching) -> None:
    fetching.anchor(1)
    assert fetching.rounds() == ["cid-1"]
    assert fetching.look()
    assert (fetching.quality(1) or {})["problem"] == "nobody has it"
    waits = []
    for _ in range(12):
        before = fetching.now
        while not fetching.rounds():
            fetching.now += RETRY_FIGURES_SECONDS / 2
        waits.append(fetching.now - before)
        assert not fetching.look(), "it is still not there: nothing is new"
    assert waits[:3] == [RETRY_FIGURES_SECONDS, 2 * RETRY_FIGURES_SECONDS, 4 * RETRY_FIGURES_SECONDS]
    assert max(waits) == waits[-1] == LONGEST_RETRY_SECONDS
    fetching.there.add("cid-1")
    fetching.now += LONGEST_RETRY_SECONDS
    fetching.rounds()
    assert fetching.look()
    assert (fetching.quality(1) or {})["problem"] is None


def test_a_certificate_that_was_never_tried_comes_before_one_that_failed(fetching: Fetching) -> None:
    fetching.anchor(1)
    fetching.rounds()
    fetching.look()
    for number in (2, 3):
        fetching.anchor(number)
    fetching.now += RETRY_FIGURES_SECONDS
    assert fetching.rounds() == ["cid-2", "cid-3"]


def test_what_came_for_an_anchor_that_the_chain_took_back_is_not_kept(fetching: Fetching) -> None:
    fetching.anchor(1)
    fetching.anchor(2)
    fetching.there |= {"cid-2", "other"}
    fetching.look()
    fetching.archive.cut(1)
    fetching.threads.do_all()
    fetching.anchor(2, cid="other")
    fetching.look()
    assert fetching.quality(2) is None, "that is another document"
    assert fetching.rounds() == ["other"]
    fetching.look()
    assert (fetching.quality(2) or {})["problem"] is None


def test_a_fetch_ends_at_its_deadline_and_with_the_explorer(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document of many blocks, each of which comes slowly."""

    def read_slowly(blocks: BlockSource, *_: object) -> CertifiedQuality:
        while True:
            fetching.now += 1.0
            blocks.get(Cid.of(b"block"))

    monkeypatch.setattr(certified_quality, "read_quality", read_slowly)
    monkeypatch.setattr(Fetching, "get", lambda self, cid: b"block")
    fetching.anchor(1)
    fetching.look()
    fetching.threads.do_all()
    fetching.look()
    assert (fetching.quality(1) or {})["problem"] == "its blocks did not come in time"
    assert fetching.now == records_module._FETCH_SECONDS
    fetching.now += LONGEST_RETRY_SECONDS
    fetching.look()
    before = fetching.now
    fetching.reader.close()
    fetching.threads.do_all()
    assert fetching.now == before + 1.0


def test_a_failure_that_nobody_foresaw_is_a_problem_of_that_certificate(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> CertifiedQuality:
        raise ZeroDivisionError

    monkeypatch.setattr(certified_quality, "read_quality", fail)
    fetching.anchor(1)
    fetching.look()
    fetching.threads.do_all()
    assert fetching.look()
    assert "log" in (fetching.quality(1) or {})["problem"]


def test_certificates_are_fetched_on_threads_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = ChainArchive(tmp_path / "explorer.sqlite", "one")
    seen: list[str] = []
    done = threading.Event()

    def read_quality(*_: object) -> CertifiedQuality:
        seen.append(threading.current_thread().name)
        done.set()
        return CertifiedQuality("a-format", "name", {})

    monkeypatch.setattr(certified_quality, "read_quality", read_quality)
    Fetching(archive).anchor(1)
    reader = RecordReader(cast(Any, SimpleNamespace(models=None)), archive, lambda: cast(Any, None))
    reader.read_certificates()
    assert done.wait(60)
    reader.close()
    assert [name.rpartition("_")[0] for name in seen] == ["nexus-figures"]
    archive.close()
