"""Who could serve a model version now: announcements from the chain, then one question to each node.

The chain says who serves which layers at what price and with which keys; ``describe`` says who is
there and how fast. Which of them to take is ``nexus_chain.routing``'s decision.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nexus_chain.chain.contracts import Contracts
from nexus_chain.client.errors import NodeError, NoRouteError
from nexus_chain.client.peer import Dial, NodeContact
from nexus_chain.market.documents import Ask

PROBES_AT_ONCE = 8


@dataclass(frozen=True)
class ProbedNode:
    """A node's answer to ``describe``: milliseconds it took and orders in work, or why there was none."""

    contact: NodeContact
    latency_ms: float = 0.0
    active_orders: int = 0
    problem: str = ""

    @property
    def online(self) -> bool:
        return not self.problem


@dataclass(frozen=True)
class ClientRoute:
    """For each segment in layer order the nodes that may serve it, best first, and the ask to sign."""

    segments: tuple[tuple[NodeContact, ...], ...]
    asks: tuple[Ask, ...]


def contacts_for(contracts: Contracts, version: bytes) -> list[NodeContact]:
    """Active nodes that announce layers of a version, as the chain has them."""
    found = []
    for offer in contracts.nodes.announcements(version):
        node = contracts.nodes.node(offer.node)
        if node.active:
            layers = (offer.layer_start, offer.layer_end)
            found.append(
                NodeContact(
                    offer.node, node.endpoint, node.tls_key_hash, node.receipt_key, *layers, offer.wei_per_token
                )
            )
    return found


def probe(contacts: Sequence[NodeContact], dial: Dial) -> list[ProbedNode]:
    """Ask all nodes at once who they are; in the order given."""
    with ThreadPoolExecutor(PROBES_AT_ONCE, thread_name_prefix="nexus-probe") as pool:
        return list(pool.map(lambda contact: _probe(contact, dial), contacts))


def _probe(contact: NodeContact, dial: Dial) -> ProbedNode:
    try:
        peer = dial(contact)
    except NodeError as error:
        return ProbedNode(contact, problem=error.message)
    try:
        started = time.monotonic()
        status = peer.describe()
        return ProbedNode(contact, 1000 * (time.monotonic() - started), status.active_orders)
    except NodeError as error:
        return ProbedNode(contact, problem=error.message)
    finally:
        peer.close()


def plan_route(contracts: Contracts, dial: Dial, version: bytes, layers: int) -> ClientRoute:
    """The cheapest split of layers [0, layers) over nodes that answer, fastest first in each segment.

    Raises NoRouteError naming the first layer that nobody serves.
    """
    probed = probe(contacts_for(contracts, version), dial)
    return choose_route([p for p in probed if p.online], layers, [p for p in probed if not p.online])


def choose_route(online: Sequence[ProbedNode], layers: int, offline: Sequence[ProbedNode] = ()) -> ClientRoute:
    """As ``plan_route``, from what the probes said."""
    by_range: dict[tuple[int, int], list[ProbedNode]] = {}
    for node in online:
        by_range.setdefault((node.contact.layer_start, node.contact.layer_end), []).append(node)
    best: dict[int, tuple[int, int, tuple[tuple[int, int], ...]]] = {0: (0, 0, ())}  # price, segments, ranges
    for end in range(1, layers + 1):
        options = [
            (best[start][0] + min(n.contact.wei_per_token for n in nodes), best[start][1] + 1, (*best[start][2], key))
            for key, nodes in by_range.items()
            if key[1] == end and (start := key[0]) in best
        ]
        if options:
            best[end] = min(options)
    if layers not in best:
        raise _no_route(max(best), layers, offline)
    return _route([by_range[key] for key in best[layers][2]])


def _route(segments: Sequence[Sequence[ProbedNode]]) -> ClientRoute:
    """Order each segment's nodes: within its cheapest price first the least busy, then the fastest."""
    chosen, asks = [], []
    for nodes in segments:
        price = min(node.contact.wei_per_token for node in nodes)
        able = [node for node in nodes if node.contact.wei_per_token <= price]
        able.sort(key=lambda node: (node.active_orders, node.latency_ms))
        chosen.append(tuple(node.contact for node in able))
        first = able[0].contact
        asks.append(Ask(first.layer_start, first.layer_end, price))
    return ClientRoute(tuple(chosen), tuple(asks))


def _no_route(layer: int, layers: int, offline: Sequence[ProbedNode]) -> NoRouteError:
    silent = "; ".join(f"{p.contact.address}: {p.problem}" for p in offline)
    return NoRouteError(
        f"no node that answers continues the model of {layers} layers from layer {layer}"
        + (f" ({silent})" if silent else ""),
        advice="See `nexus nodes`; try again when a node for these layers is up.",
    )
