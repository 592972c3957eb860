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

    ``replaced``: blocks that were known before were taken back, and what was told of them is void.
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
    """Follows one deployment into ``archive``. One thread at a time looks."""

    def __init__(self, contracts: Contracts, archive: ChainArchive) -> None:
        self._connection, self._archive = contracts.connection, archive
        self._bound = bound_contracts(contracts)
        self._first = contracts.deployment.block

    def look(self) -> ChainNews:
        """Take in what is new. Raises the chain package's errors; then as much is known as before, or more."""
        chain = self._connection.block()
        replaced = self._take_back()
        known = self._archive.head() or BlockHead(self._first - 1, b"", 0)
        news = ChainNews(known, chain, replaced=replaced)
        last = min(chain.number, known.number + _BLOCKS_PER_LOOK)
        for _, read in in_ranges(self._read, known.number + 1, last):
            if not self._take_in(news, read):
                break
        return news

    def _take_in(self, news: ChainNews, read: _Read) -> bool:
        """Keep a range; False where the chain changed while it was read: it is looked at again."""
        # INVARIANT: what is kept is of one chain: its end stands, and so does what it is a continuation of.
        if not self._stands(read.head) or (news.head.hash and not self._stands(news.head)):
            return False
        self._archive.add(read.events, read.head)
        news.events += read.events
        news.head = read.head
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

    def _take_back(self) -> bool:
        """Forget what the chain has replaced; whether there was anything."""
        heads = self._archive.heads()
        if not heads or self._stands(heads[0]):
            return False
        common = next((head for head in heads[1:] if self._stands(head)), None)
        self._archive.cut(-1 if common is None else common.number)
        return True

    def _stands(self, head: BlockHead) -> bool:
        found = self._connection.find_block(head.number)
        return found is not None and found.hash == head.hash


@dataclass(frozen=True)
class _Read:
    """What a range of blocks says. ``head``: its last block, read before its events were."""

    head: BlockHead
    events: list[KeptEvent]
