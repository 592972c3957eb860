"""Who could serve a model version now: announcements from the chain, then one question to each node.

The chain says who serves which layers at what price and with which keys; ``describe`` says who is
there and how fast. Which of them to take is ``nexus_chain.routing``'s decision.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from nexus_chain.chain.contracts import Contracts
from nexus_chain.market.documents import Ask
from nexus_chain.program import Program
from nexus_chain.routing.registry_view import Measurement, ShardNode, discover_nodes
from nexus_chain.routing.reputation import ReputationBook
from nexus_chain.routing.route import InferenceRoute, RoutePolicy, find_route
from nexus_chain.wire.errors import PeerError
from nexus_chain.wire.peer import Dial, NodeContact

PROBES_AT_ONCE = 8


@dataclass(frozen=True)
class ProbedNode:
    """A node with what ``describe`` told; ``problem`` says why there was no answer."""

    node: ShardNode
    problem: str = ""


@dataclass(frozen=True)
class ClientRoute:
    """For each segment in layer order the nodes that may serve it, best first, and the ask to sign."""

    segments: tuple[tuple[NodeContact, ...], ...]
    asks: tuple[Ask, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every node of the route once, spares included."""
        return tuple(dict.fromkeys(contact.address for segment in self.segments for contact in segment))

    def names(self, node: str) -> bool:
        """Whether the node serves a segment or is a spare."""
        return node in self.addresses


def contact_of(node: ShardNode) -> NodeContact:
    """What is needed to connect to a node and to check what it signs."""
    return NodeContact(
        node.node_id,
        node.endpoint,
        bytes.fromhex(node.peer_id.removeprefix("0x")),
        node.receipt_key,
        node.layer_start,
        node.layer_end,
        node.wei_per_token,
    )


def probe_nodes(
    contracts: Contracts,
    dial: Dial,
    version: bytes,
    book: ReputationBook | None = None,
    operators: Collection[str] = (),
) -> list[ProbedNode]:
    """Active nodes that announce layers of a version, each asked at once who it is; in the registry's order.

    ``book``: what is known about them; nobody is distrusted without it. ``operators``: only these, where any are named.
    """
    known = book or ReputationBook()
    named = [node for node in discover_nodes(contracts, version) if not operators or node.node_id in operators]
    nodes = [replace(node, reputation=known.of(node.node_id)) for node in named]
    with ThreadPoolExecutor(PROBES_AT_ONCE, thread_name_prefix="nexus-probe") as pool:
        return list(pool.map(lambda node: _probe(node, dial), nodes))


def _probe(node: ShardNode, dial: Dial) -> ProbedNode:
    try:
        peer = dial(contact_of(node))
    except PeerError as error:
        return _absent(node, error)
    try:
        peer.describe()  # the first call also pays for the connection
        started = time.monotonic()
        status = peer.describe()
        latency = 1000 * (time.monotonic() - started)
        found = Measurement(
            latency, status.active_orders, node.reputation, audit_wei_per_token=status.audit_wei_per_token
        )
        return ProbedNode(node.measured(found))
    except PeerError as error:
        return _absent(node, error)
    finally:
        peer.close()


def _absent(node: ShardNode, error: PeerError) -> ProbedNode:
    return ProbedNode(replace(node, online=False), error.message)


def route_over(nodes: Sequence[ShardNode], program: Program, preferred: Collection[str] | None = None) -> ClientRoute:
    """The best route; with ``preferred`` addresses only those serve, the others are spares behind them.

    Nodes below the policy's reputation are neither. An encoder's route has a boundary where the embedding
    crosses it. Raises NoNodeForLayersError.
    """
    layers, cut = program.shape.layers, program.embedding_layer
    nodes = [node for node in nodes if node.reputation >= RoutePolicy.minimum_reputation]
    if cut is not None:
        nodes = [node for node in nodes if not node.layer_start < cut < node.layer_end]
    first = nodes if preferred is None else [node for node in nodes if node.node_id in preferred]
    route = find_route(first, layers)
    segments = []
    for index, ask in enumerate(route.asks):
        chosen = [contact_of(node) for node in route.candidates(index)]
        taken = {contact.address for contact in chosen}
        spares = [contact_of(n) for n in nodes if n.node_id not in taken and _can_replace(n, route, index)]
        segments.append((*chosen, *(spare for spare in spares if spare.wei_per_token <= ask.wei_per_token)))
    return ClientRoute(tuple(segments), route.asks)


def _can_replace(node: ShardNode, route: InferenceRoute, segment: int) -> bool:
    first = route.nodes[segment]
    return node.online and (node.layer_start, node.layer_end) == (first.layer_start, first.layer_end)
