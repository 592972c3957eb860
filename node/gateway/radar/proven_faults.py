"""Faults and games as the chain tells them: who was convicted, what it cost, who watches and with how much money."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nexus_chain.chain.bound import ChainEvent, in_ranges
from nexus_chain.chain.contracts import Contracts

UNSETTLED_BLOCKS = 64
"""Blocks that are read again each time: a re-organisation may have changed them."""
SHOWN_FAULTS = 100
_GAME_EVENTS = ("GameOpened", "NodeConvicted", "NodeAcquitted", "GameVoid", "Equivocated")
_ENDS = {"NodeConvicted": "won", "NodeAcquitted": "lost", "GameVoid": "void"}


@dataclass(frozen=True)
class ProvenFault:
    """A node that the contract convicted. ``kind``: ``game`` or ``equivocation``. ``game``: None without one.

    ``at``: Unix seconds of the block. Wei of the stake: ``to_vault``, ``to_beneficiary``.
    """

    kind: str
    node: str
    game: int | None
    at: int
    transaction: str
    to_vault: int = 0
    to_beneficiary: int = 0


@dataclass
class Accuser:
    """Whoever accuses nodes. ``bonds``: wei in games that are open. ``balance``: wei of the account itself."""

    address: str
    open_games: int = 0
    bonds: int = 0
    won: int = 0
    lost: int = 0
    balance: int = 0


@dataclass(frozen=True)
class ChainSightings:
    """``faults``: newest first. ``open_games``: numbers."""

    faults: Sequence[ProvenFault] = ()
    watchers: Sequence[Accuser] = ()
    open_games: Sequence[int] = ()


@dataclass
class ProvenFaults:
    """Follows the chain from the deployment's block on; for one thread at a time."""

    contracts: Contracts
    first_block: int
    _games: list[ChainEvent] = field(default_factory=list)
    _slashes: list[ChainEvent] = field(default_factory=list)
    _times: dict[int, int] = field(default_factory=dict)
    _read_to: int = -1

    def read(self) -> ChainSightings:
        """What is known now. Raises the chain package's errors; what was read before stays."""
        chain = self.contracts
        last = chain.connection.block_number()
        again = max(self.first_block, min(self._read_to, last) + 1 - UNSETTLED_BLOCKS)
        games = _events(again, last, lambda a, b: chain.disputes.events_of(_GAME_EVENTS, a, b))
        slashes = _events(again, last, lambda a, b: chain.nodes.events_of(("Slashed",), a, b))
        self._games = [event for event in self._games if event.block < again] + games
        self._slashes = [event for event in self._slashes if event.block < again] + slashes
        self._times = {block: at for block, at in self._times.items() if block < again}
        self._read_to = last
        return ChainSightings(self._faults(), self._watchers(), sorted(_open_games(self._games)))

    def _faults(self) -> list[ProvenFault]:
        convictions = [event for event in self._games if event.name in ("NodeConvicted", "Equivocated")]
        return [self._fault(event) for event in convictions[: -SHOWN_FAULTS - 1 : -1]]

    def _fault(self, event: ChainEvent) -> ProvenFault:
        node = event.arguments["node"]
        slash = next(
            (one.arguments for one in self._slashes
             if one.transaction == event.transaction and one.arguments["node"] == node),
            {"toVault": 0, "toBeneficiary": 0},
        )  # fmt: skip
        if event.block not in self._times:
            self._times[event.block] = self.contracts.connection.block(event.block).timestamp
        return ProvenFault(
            "game" if event.name == "NodeConvicted" else "equivocation",
            node,
            event.arguments.get("game"),
            self._times[event.block],
            event.transaction,
            slash["toVault"],
            slash["toBeneficiary"],
        )

    def _watchers(self) -> list[Accuser]:
        found = accusers_of(self._games)
        for watcher in found:
            watcher.balance = self.contracts.connection.balance(watcher.address)
        return found


def accusers_of(events: Sequence[ChainEvent]) -> list[Accuser]:
    """Every challenger of a game in ``events``, by address; balances are not known from these."""
    ends = {event.arguments["game"]: _ENDS[event.name] for event in events if event.name in _ENDS}
    watchers: dict[str, Accuser] = {}
    for event in events:
        if event.name != "GameOpened":
            continue
        game, address = event.arguments["game"], event.arguments["challenger"]
        watcher = watchers.setdefault(address, Accuser(address))
        if game not in ends:
            watcher.open_games += 1
            watcher.bonds += event.arguments["bond"]
        watcher.won += ends.get(game) == "won"
        watcher.lost += ends.get(game) == "lost"
    return [watchers[address] for address in sorted(watchers)]


def _open_games(events: Sequence[ChainEvent]) -> set[int]:
    opened = {event.arguments["game"] for event in events if event.name == "GameOpened"}
    return opened - {event.arguments["game"] for event in events if event.name in _ENDS}


def _events(first: int, last: int, query: Callable[[int, int], list[ChainEvent]]) -> list[ChainEvent]:
    return [event for _, found in in_ranges(query, first, last) for event in found]
