"""How much money hangs on each node: the caps of all lines that are not settled, from the market's events.

A node has one stake for all its lines, so the stake has to cover their sum. The market keeps no such sum: every
inference would pay for it. Whoever wants the sum reads the events once, and later only the new ones. What is final goes
to a file. The newest blocks may be replaced, so they are read again every time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nexus_chain.chain.bound import ChainEvent, in_ranges
from nexus_chain.chain.contracts import Contracts
from nexus_chain.json_text import parse_json
from nexus_chain.market.documents import checksum
from nexus_chain.market.errors import DocumentFormatError

_FORMAT = "nexus.exposure.v1"
EVENTS = ("SessionOpened", "Allotted", "LineRefunded", "LineSettled")
#: The newest blocks may be replaced: what they say is not kept.
TENTATIVE_BLOCKS = 64

_LineKey = tuple[bytes, str]


@dataclass
class OpenLines:
    """Lines that are not settled up to ``block``: [cap, given back], wei, by session and node."""

    block: int
    lines: dict[_LineKey, tuple[int, int]] = field(default_factory=dict)

    def copy(self) -> OpenLines:
        return OpenLines(self.block, dict(self.lines))

    def apply(self, events: Iterable[ChainEvent], block: int) -> OpenLines:
        """Take in all events up to ``block``, in their order. Returns itself."""
        for event in events:
            self._apply(event.name, event.arguments)
        self.block = block
        return self

    def _apply(self, name: str, arguments: dict[str, Any]) -> None:
        session = bytes(arguments["session"])
        if name == "SessionOpened":
            for cap in arguments["caps"]:
                self.lines[session, checksum(cap["node"])] = int(cap["cap"]), 0
            return
        key = session, checksum(arguments["node"])
        cap, returned = self.lines.get(key, (0, 0))
        if name == "Allotted":
            self.lines[key] = int(arguments["cap"]), returned
        elif name == "LineRefunded":
            self.lines[key] = cap, int(arguments["toUser"])
        else:
            self.lines.pop(key, None)

    def by_node(self) -> dict[str, int]:
        """Wei by node; nodes without an unsettled line are absent."""
        sums: dict[str, int] = {}
        for (_, node), (cap, returned) in self.lines.items():
            sums[node] = sums.get(node, 0) + cap - returned
        return sums


def unsettled_lines(contracts: Contracts, cache: Path | None = None) -> OpenLines:
    """All unsettled lines of the deployment now. ``cache``: file that spares reading old events again.

    A cache that is damaged or another deployment's is not used. Raises the chain package's errors.
    """
    head = contracts.connection.block_number()
    known = _loaded(contracts, cache, head)
    final = head - TENTATIVE_BLOCKS
    if final > known.block:
        known = _caught_up(contracts, known, final)
        if cache is not None:
            _save(contracts, cache, known)
    return _caught_up(contracts, known.copy(), head)


def _caught_up(contracts: Contracts, known: OpenLines, last: int) -> OpenLines:
    """``known`` with the events up to block ``last``."""
    market = contracts.market
    for stop, events in in_ranges(partial(market.events_of, EVENTS), known.block + 1, last):
        known.apply(events, stop)
    return known


def _identity(contracts: Contracts) -> list[object]:
    """The deployment, and the block it began with: a local chain that was reset has the same addresses."""
    start = contracts.deployment.block
    hashed = contracts.connection.block(start).hash.hex()
    return [contracts.deployment.chain_id, contracts.market.address, start, f"0x{hashed}"]


def _loaded(contracts: Contracts, cache: Path | None, head: int) -> OpenLines:
    fresh = OpenLines(contracts.deployment.block - 1)
    if cache is None:
        return fresh
    try:
        data = parse_json(cache.read_bytes())
        found = OpenLines(
            int(data["block"]),
            {
                (bytes.fromhex(session), checksum(node)): (int(cap), int(returned))
                for session, node, cap, returned in data["lines"]
            },
        )
        fits = data["format"] == _FORMAT and data["deployment"] == _identity(contracts) and found.block <= head
    except (OSError, KeyError, TypeError, ValueError, DocumentFormatError):
        return fresh
    return found if fits else fresh


def _save(contracts: Contracts, cache: Path, known: OpenLines) -> None:
    """Replace the file at once or not at all; one that cannot be written only costs time."""
    lines = [[session.hex(), node, str(cap), str(back)] for (session, node), (cap, back) in known.lines.items()]
    document = {"format": _FORMAT, "deployment": _identity(contracts), "block": known.block, "lines": lines}
    draft = cache.with_name(f".{cache.name}.{os.getpid()}")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.write_text(json.dumps(document) + "\n")
        draft.replace(cache)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
