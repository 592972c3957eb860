"""Which events of which contracts the explorer keeps, and what a kept event is.

An event that names a session, a node, a version, a game or a receipt can be found by it. Long lists of hashes are kept
as their length: whoever needs the hashes asks the chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_chain.chain.bound import BoundContract, ChainEvent
from nexus_chain.chain.contracts import Contracts
from nexus_chain.market.documents import checksum

MARKET, NODES, MODELS, CERTIFICATES, DISPUTES = "market", "nodes", "models", "certificates", "disputes"

#: Names of the events that are kept, by contract.
KEPT_EVENTS: Mapping[str, tuple[str, ...]] = {
    MARKET: (
        "SessionOpened", "OrderPaid", "Allotted", "VoucherPosted", "LineRefused", "SessionClosed", "LineClosed",
        "LineRefunded", "LineSettled", "OpenedFor", "ShareSettled", "GameOpened", "GameClosed",
    ),
    NODES: (
        "Registered", "StakeAdded", "EndpointUpdated", "Announced", "AnnouncementRemoved", "UnbondRequested",
        "Unbonded", "GameOpened", "GameClosed", "Slashed",
    ),
    MODELS: ("Published", "ShareSet"),
    CERTIFICATES: ("Anchored",),
    DISPUTES: (
        "GameOpened", "TracePosted", "TensorPicked", "RowsPosted", "SubtreePicked", "SubtreePosted", "LeafPicked",
        "BytesPosted", "ElementPicked", "ScoresPosted", "NodeConvicted", "NodeAcquitted", "GameVoid", "Equivocated",
        "OpenedLate", "Swept",
    ),
}  # fmt: skip

#: Arguments that may have thousands of entries.
_COUNTED = ("tensorRoots", "hashes", "leaves")
_VERSION_ARGUMENTS = ("modelVersion", "id")


@dataclass(frozen=True)
class KeptEvent:
    """One event. ``time``: Unix seconds of its block. ``arguments``: numbers, text, 0x hexadecimal, and lists of these.

    ``session``, ``node``, ``version``, ``game``, ``receipt``: what it names, None where it names none; hexadecimal and
    checksummed addresses.
    """

    block: int
    log_index: int
    time: int
    contract: str
    name: str
    transaction: str
    arguments: dict[str, Any]
    session: str | None = None
    node: str | None = None
    version: str | None = None
    game: int | None = None
    receipt: str | None = None

    @property
    def id(self) -> str:
        """Block and place in it: ids of later events are larger, number by number."""
        return f"{self.block}-{self.log_index}"

    @property
    def place(self) -> tuple[int, int]:
        return self.block, self.log_index


def kept_event(contract: str, event: ChainEvent, time: int) -> KeptEvent:
    """What is kept of an event of ``contract`` in a block of ``time``.

    A session that is opened for a version is not found by the version: there are many of them, and whoever looks for a
    version wants what its publisher and its nodes said.
    """
    arguments = {name: _plain(name, value) for name, value in event.arguments.items()}
    named = () if contract == MARKET else _VERSION_ARGUMENTS
    version = next((arguments[name] for name in named if name in arguments), None)
    game, node = arguments.get("game"), arguments.get("node")
    return KeptEvent(
        event.block, event.log_index, time, contract, event.name, event.transaction, arguments,
        session=arguments.get("session"), node=None if node is None else checksum(node), version=version,
        game=game, receipt=arguments.get("receipt"),
    )  # fmt: skip


def bound_contracts(contracts: Contracts) -> dict[str, BoundContract]:
    """The contracts whose events are kept, by the names of ``KEPT_EVENTS``."""
    return {
        MARKET: contracts.market, NODES: contracts.nodes, MODELS: contracts.models,
        CERTIFICATES: contracts.certificates, DISPUTES: contracts.disputes,
    }  # fmt: skip


def _plain(name: str, value: Any) -> Any:
    if name in _COUNTED:
        return len(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: _plain(key, member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, member) for member in value]
    return value
