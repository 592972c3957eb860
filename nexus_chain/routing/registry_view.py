"""Who serves a model version, as the chain says it: the only source of truth for that.

Latency, load and whether a node answers are not on the chain: whoever talks to nodes measures
them and hands them in as ``Measurement``s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.node_registry import Announcement, NodeRecord

#: Latency assumed for a node that nobody has measured.
UNMEASURED_MS = 1_000.0


@dataclass(frozen=True)
class Measurement:
    """What a client learnt by talking to a node."""

    latency_ms: float
    active_orders: int = 0
    reputation: float = 1.0  # 0 to 1, share of this client's chunks that were served and verified
    online: bool = True
    audit_wei_per_token: int = 0


@dataclass(frozen=True)
class ShardNode:
    """A node that announces layers [layer_start, layer_end) of a version."""

    node_id: str  # address
    peer_id: str  # SHA-256 of its TLS public key, 0x hex: who answers must prove this key
    shards: tuple[int, ...]  # which of the version's distinct announced layer ranges
    latency_ms: float
    reputation: float
    online: bool
    layer_start: int
    layer_end: int
    wei_per_token: int
    endpoint: str
    receipt_key: str
    active_orders: int = 0
    stake: int = 0  # wei
    exposure: int = 0  # wei in lines that are not settled
    audit_wei_per_token: int = 0  # told by the node itself; 0: it sells none, or was not asked

    def measured(self, found: Measurement) -> ShardNode:
        """The same node with a fresh measurement."""
        return replace(
            self,
            latency_ms=found.latency_ms,
            active_orders=found.active_orders,
            reputation=found.reputation,
            online=found.online,
            audit_wei_per_token=found.audit_wei_per_token,
        )


def discover_nodes(
    contracts: Contracts, model_version: bytes, measurements: Mapping[str, Measurement] | None = None
) -> list[ShardNode]:
    """Active nodes that announce layers of ``model_version``, in the registry's order.

    ``measurements`` by node address; nodes without one count as online at ``UNMEASURED_MS``. Raises the chain
    package's errors.
    """
    offers = list(contracts.nodes.announcements(model_version))
    ranges = sorted({(offer.layer_start, offer.layer_end) for offer in offers})
    found = []
    for offer in offers:
        record = contracts.nodes.node(offer.node)
        if record.active:
            node = _shard_node(offer, record, ranges.index((offer.layer_start, offer.layer_end)))
            known = (measurements or {}).get(node.node_id)
            found.append(node.measured(known) if known else node)
    return found


def _shard_node(offer: Announcement, record: NodeRecord, shard: int) -> ShardNode:
    return ShardNode(
        node_id=offer.node,
        peer_id="0x" + record.tls_key_hash.hex(),
        shards=(shard,),
        latency_ms=UNMEASURED_MS,
        reputation=1.0,
        online=True,
        layer_start=offer.layer_start,
        layer_end=offer.layer_end,
        wei_per_token=offer.wei_per_token,
        endpoint=record.endpoint,
        receipt_key=record.receipt_key,
        stake=record.stake,
    )
