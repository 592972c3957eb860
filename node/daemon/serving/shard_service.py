"""What a call of ``shard.proto`` means: messages in and out of ``serving``, errors as refusals.

Every refusal carries the error's class name, sentence and advice. What is not refused on purpose is
logged and told as the node's own failure.
"""

from __future__ import annotations

import logging
import time

import numpy as np
import torch
from torch import Tensor

from nexus_chain.chain.errors import ChainError
from nexus_chain.errors import NexusError
from nexus_chain.market.documents import AuditOrder, Order, Voucher
from nexus_chain.market.errors import MarketError
from nexus_chain.program.errors import SamplingError
from nexus_chain.wire import shard_pb2 as wire
from nexus_chain.wire.digests import CHALLENGE_BYTES, description_digest
from node.daemon.errors import MalformedRequestError, ServingError, StoppingError
from node.daemon.serving.admission import Application
from node.daemon.serving.serving import Serving

log = logging.getLogger(__name__)

_FAILED = "the node failed. Use another one; its operator finds the reason in its log."
#: What a client is told as it is. The last two say that the node cannot serve now, whoever asks.
_AWAY = (StoppingError, ChainError)
_TOLD = (ServingError, MarketError, SamplingError, *_AWAY)


class ShardService:
    """One connection's calls."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._allowed: tuple[bytes, bytes] | None = None  # the order and the leave that were checked last
        self.session: bytes | None = None
        """The session whose owner is on the other side; None for a stranger."""
        self._order = b""  # the one that the last call was about

    def answer(self, call: wire.Call) -> wire.Answer:
        """Answer a call; an error becomes a Refusal."""
        try:
            return self._answered(call)
        except _TOLD as error:
            away = isinstance(error, _AWAY)
            return wire.Answer(refusal=wire.Refusal(error=type(error).__name__, message=str(error), away=away))
        except Exception as error:
            log.exception("a call failed")
            name = type(error).__name__ if isinstance(error, NexusError) else ""
            return wire.Answer(refusal=wire.Refusal(error=name, message=_FAILED))

    def afterwards(self) -> None:
        """See Conversation. What fails here fails again, and is told, when its result is needed."""
        order, self._order = self._order, b""
        try:
            if order:
                self._serving.afterwards(order)
        except Exception:
            log.exception("after an answer")

    def _answered(self, call: wire.Call) -> wire.Answer:
        match call.WhichOneof("kind"):
            case "rows":
                self._require_access(call.rows.order_digest, call.access)
                return wire.Answer(rows=self._rows(call.rows))
            case "close_chunk":
                self._require_access(call.close_chunk.order_digest, call.access)
                return wire.Answer(receipt=self._close_chunk(call.close_chunk))
            case "open_order":
                return wire.Answer(order=self._open_order(call.open_order))
            case "describe":
                return wire.Answer(description=self._describe(call.describe))
            case "boundary_rows":
                return wire.Answer(boundary_rows=self._boundary_rows(call.boundary_rows))
            case "receipts":
                return wire.Answer(receipts=self._receipts(call.receipts))
        raise MalformedRequestError(
            "the call asks for nothing", advice="Update the client: it speaks another protocol."
        )

    def _require_access(self, order_digest: bytes, access: bytes) -> None:
        if self._allowed != (order_digest, access):
            self.session = self._serving.require_access(order_digest, access)
            self._allowed = order_digest, access

    def _describe(self, request: wire.DescribeRequest) -> wire.NodeDescription:
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
            audit_wei_per_token=str(model.audit_wei_per_token or ""),
        )
        digest = description_digest(description, request.challenge)
        description.signature = serving.identity.receipt_key.sign_digest(digest)
        return description

    def _open_order(self, request: wire.OpenOrderRequest) -> wire.OpenOrderReply:
        _require(len(request.prompt_tree) == 32, "the prompt's tree root has not 32 bytes")
        application = Application(
            order=Order.from_json(request.order.json),
            signature=request.order.signature,
            segment=request.segment,
            prompt_length=request.prompt_length,
            prompt=_prompt(request, self._serving.model.context),
            prompt_tree=request.prompt_tree,
            credit=(request.credit.json, request.credit.signature) if request.HasField("credit") else None,
            audit=AuditOrder.from_json(request.audit.json) if request.HasField("audit") else None,
            audit_signature=request.audit.signature,
        )
        voucher = Voucher.from_json(request.voucher.json) if request.HasField("voucher") else None
        digest, length = self._serving.open_order(application, voucher, request.voucher.signature)
        return wire.OpenOrderReply(order_digest=digest, length=length)

    def _rows(self, request: wire.RowsIn) -> wire.RowsOut:
        rows = _rows(request, self._serving.model.input_width)
        if request.HasField("voucher"):
            self._serving.pay(Voucher.from_json(request.voucher.json), request.voucher.signature)
        start, outputs = self._serving.forward(
            request.order_digest, request.from_position, rows, discard=request.discard
        )
        self._order = request.order_digest
        return wire.RowsOut(from_position=start, count=len(outputs), rows=_bytes(outputs))

    def _close_chunk(self, request: wire.CloseChunkRequest) -> wire.SignedDocument:
        handed = tuple((document.json, document.signature) for document in request.predecessors)
        text, signature = self._serving.close_chunk(
            request.order_digest, request.from_position, request.to_position, handed
        )
        self._order = request.order_digest
        return wire.SignedDocument(json=text, signature=signature)

    def _boundary_rows(self, request: wire.BoundaryRowsRequest) -> wire.RowsIn:
        start = request.from_position
        rows = self._serving.boundary_rows(request.order_digest, request.time, request.signature, start)
        return wire.RowsIn(order_digest=request.order_digest, from_position=start, count=len(rows), rows=_bytes(rows))

    def _receipts(self, request: wire.ReceiptsRequest) -> wire.ReceiptsReply:
        receipts, root, size = self._serving.receipts(request.order_digest)
        return wire.ReceiptsReply(
            receipts=[wire.SignedDocument(json=one.json, signature=one.signature) for one in receipts],
            log_index=[one.number for one in receipts],
            log_root=root,
            log_size=size,
        )


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
