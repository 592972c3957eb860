"""What both sides compute beside EIP-712 documents: a node's description, a request for rows, log entries.

None is worth anything to a contract.
"""

from __future__ import annotations

from nexus_chain.keccak import keccak256
from nexus_chain.wire import shard_pb2

#: Seconds by which the clocks of a client and a node may differ when private rows are asked for.
CLOCK_TOLERANCE = 300
#: Bytes of the random challenge of ``Describe``.
CHALLENGE_BYTES = 32


def description_digest(description: shard_pb2.NodeDescription, challenge: bytes) -> bytes:
    """The 32 bytes a node's receipt key signs: keccak of a tag, the challenge, and fixed-width fields.

    The price of audits stands at the end, or nothing where the node sells none.
    """
    audits = description.audit_wei_per_token
    return keccak256(
        b"nexus.describe.v1"
        + challenge
        + description.node
        + description.model_version
        + description.layer_start.to_bytes(4, "big")
        + description.layer_end.to_bytes(4, "big")
        + int(description.wei_per_token).to_bytes(32, "big")
        + description.context.to_bytes(4, "big")
        + description.active_orders.to_bytes(4, "big")
        + description.time.to_bytes(8, "big")
        + (int(audits).to_bytes(32, "big") if audits else b"")
    )


def rows_request_digest(order_digest: bytes, node: bytes, time: int) -> bytes:
    """The 32 bytes the session key signs to read an order's rows from ``node`` (20-byte address)."""
    return keccak256(b"nexus.rows.v1" + order_digest + node + time.to_bytes(8, "big"))


def access_digest(order_digest: bytes, node: bytes) -> bytes:
    """The 32 bytes the session key signs to feed an order at ``node`` (20-byte address).

    Every node of an answer knows its order: without this one of them could feed another in the client's name.
    """
    return keccak256(b"nexus.access.v1" + order_digest + node)


def log_entry(json: str, signature: bytes) -> bytes:
    """A receipt's entry in its node's append-only log: 65 bytes of signature, then the canonical JSON."""
    return signature + json.encode()
