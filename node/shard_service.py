"""The gRPC face of ``serving``: messages in and out, refusals as statuses, TLS, the listening port.

Every refusal carries the error's sentence and advice as the status text and its class name in the
trailing metadata ``nexus-error``. What is not refused on purpose is logged and told as INTERNAL.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np
import torch
from torch import Tensor

from nexus_chain.chain.errors import ChainError
from nexus_chain.errors import NexusError
from nexus_chain.market import errors as market_errors
from nexus_chain.market.documents import Order, Voucher
from nexus_chain.program.errors import SamplingError
from node import errors
from node.admission import Application
from node.errors import MalformedRequestError, PortInUseError
from node.proto import shard_pb2 as wire
from node.proto.digests import ACCESS, CHALLENGE_BYTES, description_digest
from node.proto.shard_pb2_grpc import ShardServicer, add_ShardServicer_to_server
from node.serving import Serving
from node.tls import TlsIdentity

log = logging.getLogger(__name__)

#: The largest message out: 2048 rows of width 8192, and room for the rest.
MESSAGE_BYTES = 4 * 8192 * 2048 + (1 << 16)
#: The largest message in. Anybody may send one, before any payment and on every call at once.
RECEIVED_BYTES = 4 << 20
#: A stream that says nothing for so long is ended: at first, and once rows came. Seconds.
FIRST_ROWS_SECONDS = 20.0
IDLE_SECONDS = 300.0
#: Calls served at once; a streaming answer takes one for its whole length.
CALLS = 256

_Code = grpc.StatusCode
_FAILED = "the node failed. Use another one; its operator finds the reason in its log."
#: Most specific first.
_CODES: tuple[tuple[type[NexusError], grpc.StatusCode], ...] = (
    (errors.UnknownOrderError, _Code.NOT_FOUND),
    (errors.NotAuthorisedError, _Code.PERMISSION_DENIED),
    (errors.BusyError, _Code.RESOURCE_EXHAUSTED),
    (errors.OrderConflictError, _Code.ALREADY_EXISTS),
    (errors.RowsConflictError, _Code.ALREADY_EXISTS),
    (errors.PositionError, _Code.OUT_OF_RANGE),
    (errors.MalformedRequestError, _Code.INVALID_ARGUMENT),
    (errors.PromptError, _Code.INVALID_ARGUMENT),
    (errors.PredecessorError, _Code.INVALID_ARGUMENT),
    (errors.ServingError, _Code.FAILED_PRECONDITION),
    (errors.StoppingError, _Code.UNAVAILABLE),
    (market_errors.BadSignatureError, _Code.UNAUTHENTICATED),
    (market_errors.VoucherError, _Code.FAILED_PRECONDITION),
    (market_errors.OrderExpiredError, _Code.FAILED_PRECONDITION),
    (market_errors.MarketError, _Code.INVALID_ARGUMENT),
    (SamplingError, _Code.INVALID_ARGUMENT),
    (ChainError, _Code.UNAVAILABLE),
)


class ShardService(ShardServicer):
    """Translates between ``shard.proto`` and ``Serving``."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def Describe(self, request: wire.DescribeRequest, context: grpc.ServicerContext) -> wire.NodeDescription:
        with _refusals(context):
            _require(len(request.challenge) == CHALLENGE_BYTES, "the challenge has not 32 bytes")
            serving, model = self._serving, self._serving.model
            description = wire.NodeDescription(
                node=bytes.fromhex(serving.identity.address[2:]),
                model_version=model.version,
                layer_start=model.layer_start,
                layer_end=model.layer_end,
                wei_per_token=str(model.wei_per_token),
                context=model.context,
                active_orders=serving.active_orders,
                time=int(time.time()),
            )
            digest = description_digest(description, request.challenge)
            description.signature = serving.identity.receipt_key.sign_digest(digest)
            return description

    def OpenOrder(self, request: wire.OpenOrderRequest, context: grpc.ServicerContext) -> wire.OpenOrderReply:
        with _refusals(context):
            application = Application(
                order=Order.from_json(request.order.json),
                signature=request.order.signature,
                segment=request.segment,
                prompt_length=request.prompt_length,
                prompt=_prompt(request, self._serving.model.context),
            )
            voucher = Voucher.from_json(request.voucher.json) if request.HasField("voucher") else None
            digest, length = self._serving.open_order(application, voucher, request.voucher.signature)
            return wire.OpenOrderReply(order_digest=digest, length=length)

    def Forward(self, request_iterator: Iterator[wire.RowsIn], context: grpc.ServicerContext) -> Iterator[wire.RowsOut]:
        with _refusals(context), _watched(request_iterator, context) as requests:
            width = self._serving.model.input_width
            allowed = b""
            for request in requests:
                if request.order_digest != allowed:
                    self._serving.require_access(request.order_digest, _access(context))
                    allowed = request.order_digest
                rows = _rows(request, width)
                start, outputs = self._serving.forward(
                    request.order_digest, request.from_position, rows, discard=request.discard
                )
                yield wire.RowsOut(from_position=start, count=len(outputs), rows=_bytes(outputs))

    def CloseChunk(self, request: wire.CloseChunkRequest, context: grpc.ServicerContext) -> wire.SignedDocument:
        with _refusals(context):
            self._serving.require_access(request.order_digest, _access(context))
            handed = tuple((document.json, document.signature) for document in request.predecessors)
            text, signature = self._serving.close_chunk(
                request.order_digest, request.from_position, request.to_position, handed
            )
            return wire.SignedDocument(json=text, signature=signature)

    def Pay(self, request: wire.PayRequest, context: grpc.ServicerContext) -> wire.PayReply:
        with _refusals(context):
            cumulative = self._serving.pay(Voucher.from_json(request.voucher.json), request.voucher.signature)
            return wire.PayReply(cumulative_wei=str(cumulative))

    def BoundaryRows(self, request: wire.BoundaryRowsRequest, context: grpc.ServicerContext) -> Iterator[wire.RowsIn]:
        with _refusals(context):
            for start, rows in self._serving.boundary_rows(request.order_digest, request.time, request.signature):
                yield wire.RowsIn(
                    order_digest=request.order_digest, from_position=start, count=len(rows), rows=_bytes(rows)
                )

    def Receipts(self, request: wire.ReceiptsRequest, context: grpc.ServicerContext) -> wire.ReceiptsReply:
        with _refusals(context):
            receipts, root, size = self._serving.receipts(request.order_digest)
            return wire.ReceiptsReply(
                receipts=[wire.SignedDocument(json=one.json, signature=one.signature) for one in receipts],
                log_index=[one.number for one in receipts],
                log_root=root,
                log_size=size,
            )


def start_server(serving: Serving, tls: TlsIdentity, host: str, port: int) -> tuple[grpc.Server, int]:
    """Listen on host:port (0: any free one); the running server and its port. Raises PortInUseError."""
    options = [
        ("grpc.max_receive_message_length", RECEIVED_BYTES),
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        # Two daemons on one port would each get half of the calls.
        ("grpc.so_reuseport", 0),
    ]
    pool = ThreadPoolExecutor(CALLS, thread_name_prefix="call")
    server = grpc.server(pool, options=options, maximum_concurrent_rpcs=CALLS)
    add_ShardServicer_to_server(ShardService(serving), server)
    credentials = grpc.ssl_server_credentials([(tls.private_key, tls.certificate)])
    try:
        bound = server.add_secure_port(f"{host}:{port}", credentials)
    except RuntimeError as error:
        raise PortInUseError(
            f"cannot listen on {host}:{port}", advice="Stop what listens there, or choose another --listen address."
        ) from error
    server.start()
    return server, bound


@contextmanager
def _refusals(context: grpc.ServicerContext) -> Iterator[None]:
    """Turn errors inside the block into a status with text and advice."""
    try:
        yield
    except NexusError as error:
        code = next((code for kind, code in _CODES if isinstance(error, kind)), _Code.INTERNAL)
        text = str(error)
        if code == _Code.INTERNAL:
            log.exception("a call failed")
            text = _FAILED
        context.set_trailing_metadata((("nexus-error", type(error).__name__),))
        context.abort(code, text)
    except grpc.RpcError:
        raise  # the client went away
    except Exception:
        log.exception("a call failed")
        context.abort(_Code.INTERNAL, _FAILED)


@contextmanager
def _watched(requests: Iterator[wire.RowsIn], context: grpc.ServicerContext) -> Iterator[Iterator[wire.RowsIn]]:
    """``requests``, ended from outside when nothing comes: a stream holds one of the node's few threads."""
    over, came = threading.Event(), 0

    def counted() -> Iterator[wire.RowsIn]:
        nonlocal came
        for request in requests:
            came += 1
            yield request

    def watch() -> None:
        before, limit = 0, FIRST_ROWS_SECONDS
        while not over.wait(limit):
            if came == before:
                context.cancel()  # type: ignore[no-untyped-call]
                return
            before, limit = came, IDLE_SECONDS

    threading.Thread(target=watch, name="watch", daemon=True).start()
    try:
        yield counted()
    finally:
        over.set()


def _access(context: grpc.ServicerContext) -> bytes:
    """The signature that came as metadata, or nothing."""
    found = [value for key, value in context.invocation_metadata() if key == ACCESS and isinstance(value, bytes)]
    return found[0] if found else b""


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise MalformedRequestError(problem, advice="Update the client: it speaks another protocol.")


def _prompt(request: wire.OpenOrderRequest, context: int) -> Tensor:
    _require(len(request.prompt_tokens) <= context, f"the prompt has more than {context} tokens")
    _require(all(token < 1 << 31 for token in request.prompt_tokens), "a prompt token is not an int32")
    return torch.tensor(list(request.prompt_tokens), dtype=torch.int32)


def _rows(request: wire.RowsIn, width: int | None) -> Tensor:
    """The rows of a message as i32[t] or i32[t, width]; MalformedRequestError when they are no such thing."""
    _require(
        request.count > 0 and len(request.rows) == 4 * request.count * (width or 1),
        f"{len(request.rows)} bytes are not {request.count} rows of {width or 1} int32",
    )
    flat = torch.from_numpy(np.frombuffer(request.rows, dtype="<i4").astype(np.int32))
    return flat if width is None else flat.reshape(request.count, width)


def _bytes(rows: Tensor) -> bytes:
    return rows.contiguous().numpy().astype("<i4", copy=False).tobytes()
