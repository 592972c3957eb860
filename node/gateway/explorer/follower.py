"""The one reader of the chain: takes new events into the archive, and takes back what a re-organisation replaced.

Heads that were read up to are remembered with their hashes. When the chain no longer has the newest of them, the newest
that it still has is looked for, and everything after it is forgotten and read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus_chain.chain.batch import read_blocks
from nexus_chain.chain.bound import BLOCKS_PER_QUERY, in_ranges
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.rpc_answers import BlockHead
from node.gateway.explorer.archive import ChainArchive
from node.gateway.explorer.chain_events import KEPT_EVENTS, KeptEvent, bound_contracts, kept_event

#: Blocks that one look takes in at most, so that a long chain shows what is known while it is read.
_BLOCKS_PER_LOOK = 10 * BLOCKS_PER_QUERY


@dataclass
class ChainNews:
    """What one look found. ``head``: up to which everything is known; ``chain``: where the chain is.

    ``events``: all that is known and was not before. ``replaced``: blocks that were known before were taken back, and
    what was told of them is void.
    """

    head: BlockHead
    chain: BlockHead
    events: list[KeptEvent] = field(default_factory=list)
    replaced: bool = False

    @property
    def is_behind(self) -> bool:
        """Whether more of the chain is to be read."""
        return self.head.number < self.chain.number


class ChainFollower:
    """Follows one deployment into ``archive``. One thread at a time looks.

    News are what the archive holds now and did not hold at the latest look that returned. So nothing is lost that a
    look has found before it failed, nor what another gateway on the same archive has found.
    """

    def __init__(self, contracts: Contracts, archive: ChainArchive) -> None:
        self._connection, self._archive = contracts.connection, archive
        self._bound = bound_contracts(contracts)
        self._first = contracts.deployment.block
        self._told = archive.heads()

    def look(self) -> ChainNews:
        """Take in what is new. Raises the chain package's errors; then the next look tells what this one has found."""
        chain = self._connection.block()
        self._take_back()
        known = self._archive.head() or BlockHead(self._first - 1, b"", 0)
        last = min(chain.number, known.number + _BLOCKS_PER_LOOK)
        for _, read in in_ranges(self._read, known.number + 1, last):
            if not self._take_in(known, read):
                break
            known = read.head
        return self._news(chain)

    def _news(self, chain: BlockHead) -> ChainNews:
        told, heads = self._told, self._archive.heads()
        self._told = heads
        head = heads[0] if heads else BlockHead(self._first - 1, b"", 0)
        if heads == told:
            return ChainNews(head, chain)
        places = {(one.number, one.hash) for one in heads}
        common = next((one for one in told if (one.number, one.hash) in places), None)
        after = (self._first - 1 if common is None else common.number, 1 << 62)
        return ChainNews(head, chain, list(self._archive.events(after=after)), bool(told) and common != told[0])

    def _take_in(self, known: BlockHead, read: _Read) -> bool:
        """Keep a range behind ``known``; False where the chain changed while it was read: it is looked at again."""
        # INVARIANT: what is kept is of one chain: its end stands, and so does what it is a continuation of.
        if not self._stands(read.head) or (known.hash and not self._stands(known)):
            return False
        self._archive.add(read.events, read.head)
        return True

    def _read(self, first: int, last: int) -> _Read:
        """Events of all contracts in blocks [first, last], in the order they happened, and the last block."""
        head = self._connection.block(last)
        found = [
            (name, event)
            for name, contract in self._bound.items()
            for event in contract.events_of(KEPT_EVENTS[name], first, last)
        ]
        blocks = read_blocks(self._connection, {event.block for _, event in found})
        kept = [kept_event(name, event, blocks[event.block].timestamp) for name, event in found]
        return _Read(head, sorted(kept, key=lambda event: event.place))

    def _take_back(self) -> None:
        """Forget what the chain has replaced."""
        heads = self._archive.heads()
        if not heads or self._stands(heads[0]):
            return
        common = next((head for head in heads[1:] if self._stands(head)), None)
        self._archive.cut(-1 if common is None else common.number)

    def _stands(self, head: BlockHead) -> bool:
        found = self._connection.find_block(head.number)
        return found is not None and found.hash == head.hash


@dataclass(frozen=True)
class _Read:
    """What a range of blocks says. ``head``: its last block, read before its events were."""

    head: BlockHead
    events: list[KeptEvent]
