"""What the chain says once and for ever of new versions, and what their certificates state.

Certificates are fetched beside the look at the chain: whoever asks IPFS waits, and anybody can anchor an address that
nobody has. A few are fetched at once, each until a deadline; one that was not found is left alone, longer each time.
Those that were never tried come first, and of these, those of publishers for whom least was tried.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.contracts import Contracts
from nexus_chain.content.block_store import BlockSource, UntilLate
from nexus_chain.errors import NexusError
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import CERTIFICATES, MODELS, KeptEvent
from node.gateway.explorer.model_view import QUALITY_NOTE, VERSION_NOTE

log = logging.getLogger(__name__)

FETCHED_AT_ONCE = 4
"""Certificates that are fetched at once, each on a thread of its own; of one publisher half as many."""
_FETCH_SECONDS = 30.0
"""How long a certificate may take to come: its blocks are asked for one after the other."""
RETRY_FIGURES_SECONDS = 600.0
"""How long a certificate that could not be had is left alone; twice as long after each further try."""
LONGEST_RETRY_SECONDS = 86_400.0


@dataclass
class _Tries:
    """How often a certificate could not be had, and when it is tried again."""

    failed: int = 0
    due: float = -float("inf")


@dataclass(frozen=True)
class _Fetch:
    event: KeptEvent
    found: Future[dict[str, Any]]


class RecordReader:
    """Keeps the notes of versions and of their certificates' figures; ``close`` it in the end.

    ``blocks``: where certificates are looked for. ``threads``: on which; its own where none are given.
    """

    def __init__(
        self,
        contracts: Contracts,
        archive: ChainArchive,
        blocks: Callable[[], BlockSource],
        clock: Callable[[], float] = time.monotonic,
        threads: Executor | None = None,
    ) -> None:
        self._models, self._archive, self._blocks, self._clock = contracts.models, archive, blocks, clock
        self._threads = threads or ThreadPoolExecutor(FETCHED_AT_ONCE, thread_name_prefix="nexus-figures")
        self._fetches: dict[tuple[str, str], _Fetch] = {}  # by version and CID
        self._tries: dict[tuple[str, str], _Tries] = {}
        self._tried_for: Counter[str] = Counter()  # by publisher
        self._is_closed = False

    def close(self) -> None:
        """Fetch nothing more. What is being fetched ends with its next block."""
        self._is_closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def read_versions(self) -> None:
        """Read the records of versions that have none. Raises ChainError."""
        for event in self._archive.events(contract=MODELS, name="Published"):
            if self._archive.noted(VERSION_NOTE, str(event.version)) is None:
                self._archive.note(VERSION_NOTE, str(event.version), event.block, self._record(event))

    def read_certificates(self) -> bool:
        """Take in the figures that have come, and have a few more fetched, waiting for none; whether any are new."""
        came = self._take_in()
        for event in self._next(FETCHED_AT_ONCE - len(self._fetches)):
            self._tried_for[str(event.arguments["publisher"])] += 1
            self._fetches[_key(event)] = _Fetch(event, self._threads.submit(self._document, event))
        return self._take_in() or came

    def _next(self, free: int) -> list[KeptEvent]:
        """Certificates without figures that are due, at most ``free``, in a fair order."""
        if free < 1:
            return []
        due = list(self._due())
        due.sort(key=lambda one: (self._tries_of(one).failed, self._tried_for[str(one.arguments["publisher"])]))
        chosen: list[KeptEvent] = []
        publishers: Counter[str] = Counter()
        for event in due:  # of one publisher no more at once than leaves room for another
            publisher = str(event.arguments["publisher"])
            under_way = sum(str(one.event.arguments["publisher"]) == publisher for one in self._fetches.values())
            if under_way + publishers[publisher] < FETCHED_AT_ONCE // 2:
                publishers[publisher] += 1
                chosen.append(event)
        return chosen[:free]

    def _due(self) -> Iterable[KeptEvent]:
        now = self._clock()
        for event in self._archive.events(contract=CERTIFICATES, name="Anchored"):
            if _key(event) in self._fetches or self._tries_of(event).due > now:
                continue
            known = self._archive.noted(QUALITY_NOTE, str(event.version))
            if known is None or known["problem"] is not None:
                yield event

    def _tries_of(self, event: KeptEvent) -> _Tries:
        return self._tries.get(_key(event), _NOT_TRIED)

    def _take_in(self) -> bool:
        """Note what has come of certificates that are still anchored; whether any of it is new."""
        is_new = False
        for key, fetch in [(key, fetch) for key, fetch in self._fetches.items() if fetch.found.done()]:
            del self._fetches[key]
            document = fetch.found.result()
            if document["problem"] is None:
                self._tries.pop(key, None)
            else:
                failed = self._tries_of(fetch.event).failed + 1
                seconds = min(LONGEST_RETRY_SECONDS, RETRY_FIGURES_SECONDS * 2 ** min(failed - 1, 32))
                self._tries[key] = _Tries(failed, self._clock() + seconds)
            is_new |= self._note(fetch.event, document)
        return is_new

    def _note(self, event: KeptEvent, document: dict[str, Any]) -> bool:
        version = str(event.version)
        anchored = self._archive.latest(contract=CERTIFICATES, name="Anchored", version=version)
        if anchored is None or _key(anchored) != _key(event):  # the chain has taken it back meanwhile
            return False
        is_new = document != self._archive.noted(QUALITY_NOTE, version)
        self._archive.note(QUALITY_NOTE, version, anchored.block, document)
        return is_new

    def _document(self, event: KeptEvent) -> dict[str, Any]:
        """What the certificate states, or why that is not known. On a thread that may wait for IPFS."""
        from nexus_chain.workflows.certified_quality import read_quality  # slow to import; few versions have one

        version = str(event.version)
        anchored = AnchoredCertificate(
            str(event.arguments["cid"]), bytes.fromhex(str(event.arguments["contentHash"])[2:]), event.time
        )
        document: dict[str, Any] = {"format": None, "name": None, "figures": {}, "problem": None}
        try:
            blocks = UntilLate(self._blocks(), partial(self._is_late, self._clock() + _FETCH_SECONDS))
            # The registry lets nobody anchor but the version's publisher.
            found = read_quality(blocks, anchored, bytes.fromhex(version[2:]), str(event.arguments["publisher"]))
            return document | {"format": found.format, "name": found.name, "figures": found.figures}
        except NexusError as error:
            log.info("The certificate of %s cannot be read: %s", version, error)
            return document | {"problem": error.message}
        except Exception:
            log.exception("The certificate of %s cannot be read", version)
            return document | {"problem": "the certificate could not be read: see the gateway's log"}

    def _is_late(self, until: float) -> bool:
        return self._is_closed or self._clock() >= until

    def _record(self, event: KeptEvent) -> dict[str, Any]:
        record = self._models.version(bytes.fromhex(str(event.version)[2:]))
        return {
            "semver": str(record.semver),
            "layers": record.layers,
            "price_per_token_wei": str(record.price_per_token),
            "weights_root": "0x" + record.weights_root.hex(),
            "program_root": "0x" + record.program_root.hex(),
            "tokenizer_sha256": "0x" + record.tokenizer_hash.hex(),
            "manifest_cid": record.manifest_cid,
        }


_NOT_TRIED = _Tries()


def _key(event: KeptEvent) -> tuple[str, str]:
    return str(event.version), str(event.arguments["cid"])
