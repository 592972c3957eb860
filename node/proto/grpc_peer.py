"""The client's connection to a shard node: gRPC over TLS, pinned to the registered key.

The node's certificate is self-signed; what makes it trustworthy is that SHA-256 of its public key
is in the node registry. So the certificate is fetched, its key compared, and then it alone is used
as the root for the channel: whoever cannot prove possession of that key is not talked to.
Implements ``nexus_chain.client.peer.ShardPeer``.
"""

from __future__ import annotations

import hashlib
import queue
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import grpc
import numpy as np
import torch
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from torch import Tensor

from nexus_chain.client.errors import (
    BadReceiptError,
    BadRowsError,
    NodeRefusedError,
    NodeUnreachableError,
    TlsKeyMismatchError,
)
from nexus_chain.client.peer import (
    NodeContact,
    PeerStatus,
    SignDigest,
    SignedFeed,
    SignedOrder,
    SignedReceipt,
    SignedVoucher,
)
from nexus_chain.market.documents import Receipt, recover_digest
from nexus_chain.market.errors import MarketError
from node.proto import shard_pb2 as wire
from node.proto.digests import ACCESS, CHALLENGE_BYTES, access_digest, description_digest
from node.proto.shard_pb2_grpc import ShardStub

CERTIFICATE_NAME = "nexus-node"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 120.0
"""Longest wait for one answer; a prefill of a long prompt is one answer."""
WATCH_SECONDS = 0.5
"""How often a late answer is looked for."""
_UNREACHABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_LONGEST_REASON = 500
"""Characters that are shown of what a node says for itself."""
_OTHER_NODE = "Another node takes over where there is one; see `nexus nodes`."

T = TypeVar("T")


def dial(contact: NodeContact) -> GrpcPeer:
    """Connect to a node. Raises NodeUnreachableError, TlsKeyMismatchError."""
    return GrpcPeer(contact)


def pinned_certificate(contact: NodeContact, timeout: float = CONNECT_SECONDS) -> str:
    """The node's certificate as PEM, its key checked against the registry. Raises as ``dial`` does."""
    host, _, port = contact.endpoint.rpartition(":")
    try:
        pem = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=timeout)
    except (OSError, ValueError) as error:
        raise NodeUnreachableError(
            f"node {contact.address} cannot be reached at {contact.endpoint} ({error})", advice=_OTHER_NODE
        ) from error
    try:
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        found = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = b""  # a certificate that one library reads and another does not
    if found != contact.tls_key_hash:
        raise TlsKeyMismatchError(
            f"{contact.endpoint} shows a TLS key that is not the one registered for node {contact.address}",
            advice="Do not use this address: somebody else answers there, or the node lost its key.",
        )
    return pem


class GrpcPeer:
    """One connection. Not for several threads at once."""

    def __init__(self, contact: NodeContact, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.contact = contact
        self._answer_seconds = answer_seconds
        credentials = grpc.ssl_channel_credentials(pinned_certificate(contact).encode())
        self._channel = grpc.secure_channel(
            contact.endpoint, credentials, options=[("grpc.ssl_target_name_override", CERTIFICATE_NAME)]
        )
        self._stub = ShardStub(self._channel)
        self._stream: _RowStream | None = None
        self._sign: SignDigest | None = None
        self._access: dict[bytes, bytes] = {}
        self._prompt_length = 0

    def describe(self) -> PeerStatus:
        """See ShardPeer. The signature binds the answer to a fresh challenge."""
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        reply = self._call(lambda: self._stub.Describe(wire.DescribeRequest(challenge=challenge), timeout=5.0))
        try:
            signer = recover_digest(description_digest(reply, challenge), reply.signature)
        except (MarketError, ValueError, OverflowError) as error:
            raise self._refused(f"sends an unsigned description ({error})") from error
        if signer != self.contact.receipt_key:
            raise self._refused("signs its description with a key that is not registered")
        return PeerStatus(reply.context, reply.active_orders)

    def open_order(
        self,
        order: SignedOrder,
        segment: int,
        prompt_length: int,
        prompt: Sequence[int],
        voucher: SignedVoucher,
        sign_digest: SignDigest,
    ) -> int:
        """See ShardPeer."""
        self._sign, self._prompt_length = sign_digest, prompt_length
        request = wire.OpenOrderRequest(
            order=_document(order),
            segment=segment,
            prompt_length=prompt_length,
            prompt_tokens=prompt,
            voucher=_document(voucher),
        )
        return self._call(lambda: self._stub.OpenOrder(request, timeout=self._answer_seconds)).length

    def forward(self, order_digest: bytes, start: int, rows: Tensor, *, discard: bool = False) -> Tensor:
        """See ShardPeer."""
        if self._stream is None:
            self._stream = _RowStream(self._stub, self._metadata(order_digest))
        data = rows.contiguous().numpy().astype("<i4", copy=False).tobytes()
        request = wire.RowsIn(
            order_digest=order_digest, from_position=start, count=len(rows), rows=data, discard=discard
        )
        stream = self._stream
        reply = self._call(lambda: stream.exchange(request, self._answer_seconds))
        return self._tensor(reply, start)

    def _tensor(self, reply: wire.RowsOut, start: int) -> Tensor:
        """The reply's rows as i32[count, width], or tokens i32[count] when there is one element each."""
        if len(reply.rows) % (4 * max(reply.count, 1)) or bool(reply.rows) != bool(reply.count):
            raise BadRowsError(
                f"node {self.contact.address} sent {len(reply.rows)} bytes as {reply.count} rows", advice=_OTHER_NODE
            )
        values = torch.from_numpy(np.frombuffer(reply.rows, dtype="<i4").astype(np.int32))
        tokens = len(values) == reply.count
        # INVARIANT: one answer to one question: what a node sends unasked is never taken for the next answer.
        expected = max(start + 1, self._prompt_length) if tokens else start
        if reply.from_position not in (start, expected):
            raise BadRowsError(
                f"node {self.contact.address} answered position {reply.from_position} instead of {expected}",
                advice=_OTHER_NODE,
            )
        return values if tokens else values.reshape(reply.count, -1)

    def close_chunk(
        self, order_digest: bytes, start: int, stop: int, predecessors: Sequence[SignedReceipt | SignedFeed]
    ) -> SignedReceipt:
        """See ShardPeer."""
        metadata = self._metadata(order_digest)
        request = wire.CloseChunkRequest(
            order_digest=order_digest,
            from_position=start,
            to_position=stop,
            predecessors=[_document(document) for document in predecessors],
        )
        reply = self._call(lambda: self._stub.CloseChunk(request, timeout=self._answer_seconds, metadata=metadata))
        try:
            return Receipt.from_json(reply.json), reply.signature
        except MarketError as error:
            raise BadReceiptError(
                f"node {self.contact.address} sent no readable receipt: {error.message}", advice=_OTHER_NODE
            ) from error

    def pay(self, voucher: SignedVoucher) -> None:
        """See ShardPeer."""
        self._call(lambda: self._stub.Pay(wire.PayRequest(voucher=_document(voucher)), timeout=self._answer_seconds))

    def close(self) -> None:
        """See ShardPeer."""
        if self._stream is not None:
            self._stream.end()
        self._channel.close()

    def _metadata(self, order_digest: bytes) -> tuple[tuple[str, bytes], ...]:
        """What shows the node that this call comes from the session's owner."""
        if self._sign is None:
            return ()
        if order_digest not in self._access:
            digest = access_digest(order_digest, bytes.fromhex(self.contact.address[2:]))
            self._access[order_digest] = self._sign(digest)
        return ((ACCESS, self._access[order_digest]),)

    def _refused(self, what: str) -> NodeRefusedError:
        return NodeRefusedError(f"node {self.contact.address} {what}", advice=_OTHER_NODE)

    def _call(self, call: Callable[[], T]) -> T:
        """Turn gRPC's failures into ours."""
        try:
            return call()
        except TimeoutError as error:
            raise NodeUnreachableError(
                f"node {self.contact.address} gave no answer within {self._answer_seconds:.0f} s", advice=_OTHER_NODE
            ) from error
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def _translated(self, error: Any) -> NodeUnreachableError | NodeRefusedError:
        code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNAVAILABLE
        text = _shown((error.details() if hasattr(error, "details") else "") or str(code))
        if code in _UNREACHABLE:
            return NodeUnreachableError(
                f"the connection to node {self.contact.address} at {self.contact.endpoint} broke ({text})",
                advice=_OTHER_NODE,
            )
        metadata = error.trailing_metadata() if hasattr(error, "trailing_metadata") else ()
        names = [str(value) for key, value in metadata or () if key == "nexus-error"]
        return NodeRefusedError(
            f"node {self.contact.address} refuses: {text}",
            advice="See the node's own advice in this message, or use another node.",
            error_name=_shown(names[0]) if names else "",
        )


class _RowStream:
    """A bidirectional ``Forward`` call used as question and answer, with a time limit for each answer.

    The asking thread itself waits for the answer: handing it over between threads would cost more than a small
    model's layers. gRPC takes one message at a time off the connection, so a node that streams without end waits too.
    """

    def __init__(self, stub: ShardStub, metadata: tuple[tuple[str, bytes], ...]) -> None:
        self._requests: queue.SimpleQueue[wire.RowsIn | None] = queue.SimpleQueue()
        self._replies: Any = stub.Forward(iter(self._requests.get, None), metadata=metadata)
        self._deadline: float | None = None
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="nexus-rows").start()

    def _watch(self) -> None:
        """End the call when an answer is late: nothing else interrupts who waits for it."""
        while not self._over.wait(WATCH_SECONDS):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._over.set()
                self._replies.cancel()

    def exchange(self, request: wire.RowsIn, seconds: float) -> wire.RowsOut:
        """One message out, one in. Raises grpc.RpcError, TimeoutError."""
        self._deadline = time.monotonic() + seconds
        self._requests.put(request)
        try:
            reply: wire.RowsOut | None = next(self._replies, None)
        except grpc.RpcError:
            if self._over.is_set():
                raise TimeoutError("the answer is late") from None
            raise
        self._deadline = None
        if reply is None:
            raise TimeoutError("the node ended the stream")
        return reply

    def end(self) -> None:
        """Half-close, then cancel whatever is still under way."""
        self._over.set()
        self._requests.put(None)
        self._replies.cancel()


def _shown(text: str) -> str:
    """A node's own words, cut short and without what a terminal would act on."""
    return "".join(one if one.isprintable() else " " for one in text[:_LONGEST_REASON])


def _document(signed: SignedOrder | SignedVoucher | SignedReceipt | SignedFeed) -> wire.SignedDocument:
    document, signature = signed
    return wire.SignedDocument(json=document.to_json(), signature=signature)
