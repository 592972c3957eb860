"""The client's connection to a shard node: frames over TLS, pinned to the registered key.

The node's certificate is self-signed; what makes it trustworthy is that SHA-256 of its public key
is in the node registry. TLS itself proves that the other side holds that key; the hash is compared before
anything is said. Implements ``nexus_chain.wire.peer.ShardPeer``.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.message import DecodeError

from nexus_chain.market.documents import Receipt, recover_digest
from nexus_chain.market.errors import MarketError
from nexus_chain.wire import shard_pb2 as wire
from nexus_chain.wire.digests import CHALLENGE_BYTES, access_digest, description_digest
from nexus_chain.wire.errors import (
    BadReceiptError,
    BadRowsError,
    NodeRefusedError,
    NodeUnreachableError,
    TlsKeyMismatchError,
)
from nexus_chain.wire.frames import Frames
from nexus_chain.wire.peer import (
    NodeContact,
    PeerStatus,
    RowArray,
    SignDigest,
    SignedAudit,
    SignedFeed,
    SignedOrder,
    SignedReceipt,
    SignedVoucher,
)

CONNECT_SECONDS = 5.0
DESCRIBE_SECONDS = 5.0
ANSWER_SECONDS = 120.0
"""Longest wait for one answer; a prefill of a long prompt is one answer."""
_LONGEST_REASON = 500
"""Characters that are shown of what a node says for itself."""
_OTHER_NODE = "Another node takes over where there is one; see `nexus nodes`."


def dial(contact: NodeContact) -> TlsPeer:
    """Connect to a node. Raises NodeUnreachableError, TlsKeyMismatchError."""
    return TlsPeer(contact)


def _connected(contact: NodeContact) -> ssl.SSLSocket:
    """A connection to whoever holds the registered key. Raises as ``dial`` does."""
    host, _, port = contact.endpoint.rpartition(":")
    try:
        connection = connect_tls(host.strip("[]"), int(port), CONNECT_SECONDS)
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(contact, error) from error
    if _key_hash(connection.getpeercert(binary_form=True) or b"") != contact.tls_key_hash:
        connection.close()
        raise TlsKeyMismatchError(
            f"{contact.endpoint} shows a TLS key that is not the one registered for node {contact.address}",
            advice="Do not use this address: somebody else answers there, or the node lost its key.",
        )
    return connection


def connect_tls(host: str, port: int, seconds: float) -> ssl.SSLSocket:
    """TLS to the first of the host's addresses that shakes hands; each may take so many ``seconds``.

    The certificate is anybody's: compare it. Raises OSError, ValueError, OverflowError.
    """
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        # Wrapped before it connects: a connection that is reset while it is being wrapped is never closed by `ssl`.
        connection = _context().wrap_socket(socket.socket(family, kind, protocol))
        try:
            connection.settimeout(seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # INVARIANT: no authority is trusted, the key is: see _connected. The handshake proves its possession all the same.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _key_hash(certificate: bytes) -> bytes:
    """SHA-256 of a DER certificate's public key; nothing for a certificate that cannot be read."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return b""  # one library reads it and another does not


def _unreachable(contact: NodeContact, error: Exception) -> NodeUnreachableError:
    return NodeUnreachableError(
        f"node {contact.address} cannot be reached at {contact.endpoint} ({error})", advice=_OTHER_NODE
    )


class TlsPeer:
    """One connection. Not for several threads at once. After a NodeUnreachableError it is of no use any more."""

    def __init__(self, contact: NodeContact, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.contact = contact
        self._answer_seconds = answer_seconds
        self._frames = Frames(_connected(contact))
        self._sign: SignDigest | None = None
        self._access: dict[bytes, bytes] = {}
        self._prompt_length = 0
        self._number = 0  # of the last call

    def describe(self) -> PeerStatus:
        """See ShardPeer. The signature binds the answer to a fresh challenge."""
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        call = wire.Call(describe=wire.DescribeRequest(challenge=challenge))
        reply = self._ask(call, "description", DESCRIBE_SECONDS).description
        try:
            signer = recover_digest(description_digest(reply, challenge), reply.signature)
        except (MarketError, ValueError, OverflowError) as error:
            raise self._refused(f"sends an unsigned description ({error})") from error
        if signer != self.contact.receipt_key:
            raise self._refused("signs its description with a key that is not registered")
        return PeerStatus(reply.context, reply.active_orders, _price(reply.audit_wei_per_token))

    def open_order(
        self,
        order: SignedOrder,
        segment: int,
        prompt_length: int,
        prompt: Sequence[int],
        voucher: SignedVoucher,
        sign_digest: SignDigest,
        *,
        prompt_tree: bytes,
        credit: SignedReceipt | None = None,
    ) -> int:
        """See ShardPeer."""
        self._sign, self._prompt_length = sign_digest, prompt_length
        request = wire.OpenOrderRequest(
            order=_document(order),
            segment=segment,
            prompt_length=prompt_length,
            prompt_tokens=prompt,
            voucher=_document(voucher),
            prompt_tree=prompt_tree,
            credit=None if credit is None else _document(credit),
        )
        return self._ask(wire.Call(open_order=request), "order").order.length

    def open_audit(
        self,
        order: SignedOrder,
        audit: SignedAudit,
        prompt_length: int,
        prompt: Sequence[int],
        voucher: SignedVoucher,
        sign_digest: SignDigest,
        *,
        prompt_tree: bytes,
    ) -> int:
        """See ShardPeer."""
        self._sign, self._prompt_length = sign_digest, prompt_length
        request = wire.OpenOrderRequest(
            order=_document(order),
            segment=audit[0].segment,
            prompt_length=prompt_length,
            prompt_tokens=prompt,
            voucher=_document(voucher),
            prompt_tree=prompt_tree,
            audit=_document(audit),
        )
        return self._ask(wire.Call(open_order=request), "order").order.length

    def begin_forward(
        self,
        order_digest: bytes,
        start: int,
        rows: RowArray,
        *,
        discard: bool = False,
        voucher: SignedVoucher | None = None,
    ) -> Callable[[], RowArray]:
        """See ShardPeer."""
        request = wire.RowsIn(
            order_digest=order_digest,
            from_position=start,
            count=len(rows),
            rows=rows.astype("<i4", copy=False).tobytes(),
            discard=discard,
            voucher=None if voucher is None else _document(voucher),
        )
        answer = self._begin(wire.Call(access=self._leave(order_digest), rows=request), "rows", self._answer_seconds)
        return lambda: self._rows(answer().rows, start)

    def _rows(self, reply: wire.RowsOut, start: int) -> RowArray:
        """The reply's rows as i32[count, width], or tokens i32[count] when there is one element each."""
        if len(reply.rows) % (4 * max(reply.count, 1)) or bool(reply.rows) != bool(reply.count):
            raise BadRowsError(
                f"node {self.contact.address} sent {len(reply.rows)} bytes as {reply.count} rows", advice=_OTHER_NODE
            )
        import numpy as np  # whoever only asks nodes what they are meets no rows

        values = np.frombuffer(reply.rows, dtype="<i4").astype(np.int32)
        tokens = len(values) == reply.count
        # INVARIANT: one answer to one question: what a node sends unasked is never taken for the next answer.
        expected = max(start + 1, self._prompt_length) if tokens else start
        if reply.from_position not in (start, expected):
            raise BadRowsError(
                f"node {self.contact.address} answered position {reply.from_position} instead of {expected}",
                advice=_OTHER_NODE,
            )
        return values if tokens else values.reshape(reply.count, -1)

    def begin_close_chunk(
        self, order_digest: bytes, start: int, stop: int, predecessors: Sequence[SignedReceipt | SignedFeed]
    ) -> Callable[[], SignedReceipt]:
        """See ShardPeer."""
        request = wire.CloseChunkRequest(
            order_digest=order_digest,
            from_position=start,
            to_position=stop,
            predecessors=[_document(document) for document in predecessors],
        )
        call = wire.Call(access=self._leave(order_digest), close_chunk=request)
        answer = self._begin(call, "receipt", self._answer_seconds)
        return lambda: self._signed_receipt(answer().receipt)

    def _signed_receipt(self, reply: wire.SignedDocument) -> SignedReceipt:
        try:
            return Receipt.from_json(reply.json), reply.signature
        except MarketError as error:
            raise BadReceiptError(
                f"node {self.contact.address} sent no readable receipt: {error.message}", advice=_OTHER_NODE
            ) from error

    def boundary_rows(self, request: wire.BoundaryRowsRequest) -> wire.RowsIn:
        """The rows in that the node keeps of an order, from ``request.from_position`` on; none at the end."""
        return self._ask(wire.Call(boundary_rows=request), "boundary_rows").boundary_rows

    def receipts(self, order_digest: bytes) -> wire.ReceiptsReply:
        """The receipts that the node signed for an order, with their places in its log."""
        return self._ask(wire.Call(receipts=wire.ReceiptsRequest(order_digest=order_digest)), "receipts").receipts

    def hang_up(self) -> None:
        """See ShardPeer."""
        self._frames.hang_up()

    def close(self) -> None:
        """See ShardPeer."""
        self._frames.close()

    def _leave(self, order_digest: bytes) -> bytes:
        """What shows the node that this call comes from the session's owner; nothing before an order was opened."""
        if self._sign is None:
            return b""
        if order_digest not in self._access:
            digest = access_digest(order_digest, bytes.fromhex(self.contact.address[2:]))
            self._access[order_digest] = self._sign(digest)
        return self._access[order_digest]

    def _refused(self, what: str) -> NodeRefusedError:
        return NodeRefusedError(f"node {self.contact.address} {what}", advice=_OTHER_NODE)

    def _ask(self, call: wire.Call, kind: str, seconds: float | None = None) -> wire.Answer:
        """The answer to ``call``, which is of that ``kind``. Raises NodeUnreachableError, NodeRefusedError."""
        return self._begin(call, kind, self._answer_seconds if seconds is None else seconds)()

    def _begin(self, call: wire.Call, kind: str, seconds: float) -> Callable[[], wire.Answer]:
        """Send ``call``; what is returned waits for its answer, ``seconds`` from then on. Both raise as ``_ask``."""
        self._number += 1
        call.number = self._number
        with self._breaking(seconds):
            self._frames.send(call.SerializeToString(), seconds)
        return partial(self._answer, call.number, kind, seconds)

    def _answer(self, number: int, kind: str, seconds: float) -> wire.Answer:
        with self._breaking(seconds):
            answer = self._receive(number, seconds)
        if answer.WhichOneof("kind") == "refusal":
            raise self._told(answer.refusal)
        if answer.WhichOneof("kind") != kind:
            raise self._refused("answers another question than it was asked")
        return answer

    def _receive(self, number: int, seconds: float) -> wire.Answer:
        """The answer with ``number``. What answers an earlier call, which was given up for a keypress, is dropped."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            answer = wire.Answer.FromString(self._frames.receive(left, left, soon=True))
            if answer.number >= number:
                return answer

    @contextmanager
    def _breaking(self, seconds: float) -> Iterator[None]:
        """What goes wrong on the way is the connection's end."""
        try:
            yield
        except TimeoutError as error:
            raise self._broken(f"gave no answer within {seconds:.0f} s") from error
        except (OSError, EOFError, DecodeError) as error:
            raise self._broken(f"at {self.contact.endpoint} broke the connection ({error})") from error

    def _broken(self, what: str) -> NodeUnreachableError:
        # What comes late would be taken for the next answer.
        self._frames.close()
        return NodeUnreachableError(f"node {self.contact.address} {what}", advice=_OTHER_NODE)

    def _told(self, refusal: wire.Refusal) -> NodeUnreachableError | NodeRefusedError:
        text = _shown(refusal.message)
        if refusal.away:
            return NodeUnreachableError(f"node {self.contact.address} is away: {text}", advice=_OTHER_NODE)
        return NodeRefusedError(
            f"node {self.contact.address} refuses: {text}",
            advice="See the node's own advice in this message, or use another node.",
            error_name=_shown(refusal.error),
        )


def _shown(text: str) -> str:
    """A node's own words, cut short and without what a terminal would act on."""
    return "".join(one if one.isprintable() else " " for one in text[:_LONGEST_REASON])


def _price(text: str) -> int:
    """Wei that a node's description says, which is signed by now; 0 for nothing."""
    return int(text) if text else 0


def _document(signed: SignedOrder | SignedVoucher | SignedReceipt | SignedFeed | SignedAudit) -> wire.SignedDocument:
    document, signature = signed
    return wire.SignedDocument(json=document.to_json(), signature=signature)
