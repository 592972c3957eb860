"""Whether a session and its lines can still be used, as the chain says: one request for all of them.

A node is bound by what it signs only while its line is open and its stake stays, and only if the session's challenge
window comes after the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nexus_chain.chain.batch import read_together, require_value
from nexus_chain.chain.clock import no_earlier_than
from nexus_chain.chain.contracts import Contracts
from nexus_chain.chain.inference_market import LineRecord, SessionRecord
from nexus_chain.chain.node_registry import NodeRecord


@dataclass(frozen=True)
class SessionFacts:
    """One session at ``now`` (chain time, Unix seconds); ``window`` is W, seconds.

    ``lines`` and ``nodes`` are by node address; a node without a line has one that is all zero.
    """

    now: int
    window: int
    session: SessionRecord
    lines: Mapping[str, LineRecord]
    nodes: Mapping[str, NodeRecord]

    @property
    def ended(self) -> str:
        """Why nothing more can be asked in the session; empty while it can."""
        if self.session.end:
            return "was closed"
        if self.now >= self.session.expiry:
            return f"expired {self.now - self.session.expiry} s ago"
        return ""

    @property
    def disputable_until(self) -> int:
        """When the session's challenge window ends, if nobody closes it before."""
        return self.session.end or self.session.expiry + self.window

    def unfit(self, node: str) -> str:
        """Why a node must not be sent work of this session; empty when it may."""
        record, line = self.nodes[node], self.lines[node]
        if record.convicted:
            return "was convicted"
        if not record.active:
            return "is taking its stake out"
        if line.settled:
            return "has its line of this session settled"
        if line.closed_by_node:
            return "closed its line of this session"
        return ""


def read_session(contracts: Contracts, session: bytes, nodes: Sequence[str]) -> SessionFacts:
    """The session and its lines with ``nodes``, in one request.

    Raises ContractRevertedError when there is no such session, or one of the nodes never registered.
    """
    market, registry = contracts.market, contracts.nodes
    calls = [
        market.call("challengeWindow"),
        market.call("sessionOf", session),
        *(market.call("lineOf", session, node) for node in nodes),
        *(registry.call("node", node) for node in nodes),
    ]
    read = read_together(contracts.connection, calls)
    window, found, *rest = map(require_value, read.values)
    lines, records = rest[: len(nodes)], rest[len(nodes) :]
    return SessionFacts(
        no_earlier_than(read.timestamp),
        int(window),
        SessionRecord(*found),
        {node: LineRecord(*line) for node, line in zip(nodes, lines, strict=True)},
        {node: NodeRecord(*record) for node, record in zip(nodes, records, strict=True)},
    )
