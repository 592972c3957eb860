"""A network of nodes in this process that keep the wire protocol's rules with toy arithmetic.

Each segment maps a row to another by fixed integer arithmetic over the whole prefix, so a spare
gives the same bits exactly when it was fed the same rows. Receipts and vouchers are real.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from nexus_chain.commitments.tensor import RowTree, tensor_root
from nexus_chain.market.documents import Domain, Order, Receipt, address_of, require_signer, sign
from nexus_chain.wire.errors import NodeRefusedError, NodeUnreachableError, PeerError
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

WIDTH = 3
VOCABULARY = 101
DOMAIN = Domain(31337, "0x" + "11" * 20)

T = TypeVar("T")


def segment_rows(segment: int, inputs: RowArray) -> RowArray:
    """What a middle or first segment gives for all its input rows: i32[t, WIDTH]."""
    columns = inputs.reshape(len(inputs), -1).astype(np.int64)
    running = columns.cumsum(0).sum(1, keepdims=True)
    return ((running * 7919 + np.arange(WIDTH) * 31 + segment) % 65521).astype(np.int32)


def segment_tokens(inputs: RowArray, prompt_length: int) -> RowArray:
    """What the last segment samples for all its input rows."""
    columns = inputs.reshape(len(inputs), -1).astype(np.int64)
    running = columns.cumsum(0).sum(1)
    return ((running * 31 + 5) % VOCABULARY).astype(np.int32)[prompt_length - 1 :]


def expected_tokens(prompt: Sequence[int], count: int, segments: int) -> list[int]:
    """The toy model's answer, computed without nodes."""
    tokens = list(prompt)
    for _ in range(count):
        rows = np.array(tokens, np.int32)
        for segment in range(segments - 1):
            rows = segment_rows(segment, rows)
        tokens.append(int(segment_tokens(rows, len(prompt))[-1]))
    return tokens[len(prompt) :]


@dataclass
class ToyReferee:
    """Recomputes with the toy model's arithmetic."""

    segments: int
    prompt_length: int

    def recompute(self, segment: int, inputs: RowArray) -> RowArray:
        last = segment == self.segments - 1
        return segment_tokens(inputs, self.prompt_length) if last else segment_rows(segment, inputs)


@dataclass
class ToyOrder:
    """One order at one node."""

    order: Order
    segment: int
    prompt: list[int]
    prompt_length: int
    rows: list[RowArray] = field(default_factory=list)
    closed: int = 0
    receipts: dict[int, SignedReceipt] = field(default_factory=dict)
    credit: int = 0

    @property
    def billed(self) -> int:
        return self.closed or self.credit


@dataclass
class ToyNode:
    """A node's lasting state. ``dies_after``: forwarded messages before it is gone (None: never).

    ``lies`` is added to what it puts out, ``signs``: it does not refuse receipts. ``busy``: it takes no order.
    ``rounds`` counts messages of rows, ``dropped`` rows that were taken back. While it is ``stuck`` it answers nothing;
    ``awaited``: somebody waits for it then. Any thread may use it.
    """

    key: bytes
    layers: tuple[int, int]
    segments: int
    session_signer: str
    ask: int = 10
    dies_after: int | None = None
    lies: int = 0
    signs: bool = True
    forges: str = ""
    busy: bool = False
    orders: dict[bytes, ToyOrder] = field(default_factory=dict)
    paid: int = 0
    computed: int = 0
    dials: int = 0
    rounds: int = 0
    dropped: int = 0
    stuck: bool = False
    awaited: threading.Event = field(default_factory=threading.Event)
    lock: Any = field(default_factory=threading.RLock)

    @property
    def address(self) -> str:
        return address_of(self.key)

    @property
    def contact(self) -> NodeContact:
        return NodeContact(self.address, "127.0.0.1:1", bytes(32), self.address, *self.layers, wei_per_token=self.ask)


class ToyPeer:
    """A connection to a ToyNode."""

    def __init__(self, node: ToyNode) -> None:
        self.node, self.contact = node, node.contact
        self._hung_up = threading.Event()
        node.dials += 1
        self._alive()

    def _alive(self) -> None:
        if self.node.dies_after is not None and self.node.dies_after < 0:
            raise NodeUnreachableError("the toy node is gone", advice="Use another.")

    def describe(self) -> PeerStatus:
        self._alive()
        return PeerStatus(512, 0)

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
        with self.node.lock:
            return self._open_order(order, segment, prompt_length, prompt, voucher, prompt_tree, credit)

    def _open_order(
        self,
        order: SignedOrder,
        segment: int,
        prompt_length: int,
        prompt: Sequence[int],
        voucher: SignedVoucher,
        prompt_tree: bytes,
        credit: SignedReceipt | None,
    ) -> int:
        self._alive()
        if self.node.busy:
            raise NodeRefusedError("no room", advice="Use another.", error_name="BusyError")
        require_signer(order[0], order[1], DOMAIN, self.node.session_signer)
        assert bool(prompt) == (segment in (0, self.node.segments - 1))
        assert tensor_root("i32", (prompt_length,), prompt_tree, order[0].salt) == order[0].prompt_root
        digest = order[0].digest(DOMAIN)
        if digest not in self.node.orders:
            opened = ToyOrder(order[0], segment, list(prompt), prompt_length)
            self.node.orders[digest] = opened
            opened.credit = self._credit(digest, segment, credit) if credit else 0
        self.pay(voucher)
        return len(self.node.orders[digest].rows)

    def open_audit(self, order: SignedOrder, audit: SignedAudit, *_: Any, **more: Any) -> int:
        raise NodeRefusedError("toy nodes sell no audits", advice="Use others.", error_name="AuditError")

    def _credit(self, digest: bytes, segment: int, credit: SignedReceipt) -> int:
        receipt, signature = credit
        assert (receipt.order_digest, receipt.segment) == (digest, segment)
        assert receipt.node != self.node.address
        require_signer(receipt, signature, DOMAIN, receipt.node)
        return receipt.to_position

    def forward(
        self,
        order_digest: bytes,
        start: int,
        rows: RowArray,
        *,
        discard: bool = False,
        voucher: SignedVoucher | None = None,
    ) -> RowArray:
        node, state = self.node, self.node.orders[order_digest]
        if voucher is not None:
            self.pay(voucher)
        if node.dies_after is not None:
            node.dies_after -= 1
            self._alive()
        node.rounds += 1
        if discard:
            self._drop(state, start)
        for offset, row in enumerate(rows):
            position = start + offset
            if position < len(state.rows):
                assert np.array_equal(state.rows[position], row)
                continue
            assert position == len(state.rows)
            state.rows.append(row)
            node.computed += node.ask if position >= state.credit else 0
        if node.computed > node.paid:
            raise NodeRefusedError("not prepaid", advice="Pay.", error_name="NotPrepaidError")
        if state.billed and len(state.rows) > state.billed + 32:
            raise NodeRefusedError("chunk too long", advice="Close it.", error_name="ChunkOpenError")
        inputs = np.stack(state.rows)
        if len(state.rows) < state.credit:
            return inputs[:0]
        if state.segment < node.segments - 1:
            out = segment_rows(state.segment, inputs)[start : start + len(rows)]
        else:
            first = max(start, state.prompt_length - 1) - (state.prompt_length - 1)
            stop = max(0, start + len(rows) - (state.prompt_length - 1))
            out = segment_tokens(inputs, state.prompt_length)[first:stop]
        return (
            out
            if not node.lies
            else (out + node.lies) % VOCABULARY
            if state.segment == node.segments - 1
            else out + node.lies
        )

    def begin_forward(self, order_digest: bytes, start: int, rows: RowArray, **more: Any) -> Callable[[], RowArray]:
        return self._once_free(self._at_work(lambda: self.forward(order_digest, start, rows, **more)))

    def begin_close_chunk(
        self, order_digest: bytes, start: int, stop: int, predecessors: Sequence[SignedReceipt | SignedFeed]
    ) -> Callable[[], SignedReceipt]:
        return self._once_free(self._at_work(lambda: self._close_chunk(order_digest, start, stop, predecessors)))

    def _at_work(self, work: Callable[[], T]) -> Callable[[], T]:
        """Do it at once; what goes wrong is told when the answer is taken."""
        try:
            with self.node.lock:
                done = work()
        except PeerError as error:
            failure = error

            def fail() -> T:
                raise failure

            return fail
        return lambda: done

    def _once_free(self, answer: Callable[[], T]) -> Callable[[], T]:
        """The answer; of a node that is stuck only an error, once somebody hangs up."""

        def wait() -> T:
            if self.node.stuck:
                self.node.awaited.set()
                self._hung_up.wait()
                raise NodeUnreachableError("the connection was ended", advice="Dial again.")
            return answer()

        return wait

    def _close_chunk(
        self, order_digest: bytes, start: int, stop: int, predecessors: Sequence[SignedReceipt | SignedFeed]
    ) -> SignedReceipt:
        self._alive()
        state = self.node.orders[order_digest]
        if stop in state.receipts:
            return state.receipts[stop]
        if not self.node.signs:
            raise NodeRefusedError("I sign nothing", advice="-", error_name="BusyError")
        assert start == state.billed
        assert stop <= len(state.rows)
        self._drop(state, stop)
        receipt = self._receipt(state, order_digest, start, stop, predecessors)
        assert not predecessors or predecessors[0][0].to_position == stop
        signed = receipt, sign(receipt, self.node.key, DOMAIN)
        state.closed, state.receipts[stop] = stop, signed
        return signed

    def _drop(self, state: ToyOrder, start: int) -> None:
        dropped = max(0, len(state.rows) - start)
        assert start >= max(state.billed, state.prompt_length) or not dropped
        self.node.computed -= dropped * self.node.ask
        self.node.dropped += dropped
        del state.rows[start:]

    def _receipt(
        self,
        state: ToyOrder,
        order_digest: bytes,
        start: int,
        stop: int,
        predecessors: Sequence[SignedReceipt | SignedFeed],
    ) -> Receipt:
        node, inputs = self.node, np.stack(state.rows)
        incoming = RowTree(None if state.segment == 0 else WIDTH, state.order.salt)
        incoming.append(inputs)
        last = state.segment == node.segments - 1
        outgoing = RowTree(None if last else WIDTH, state.order.salt)
        if last:
            prompt = np.array(state.prompt, np.int32)
            outgoing.append(np.concatenate([prompt, segment_tokens(inputs, state.prompt_length)]))
        else:
            outgoing.append(segment_rows(state.segment, inputs))
        out_root = outgoing.root(stop + 1 if last else stop)
        return Receipt(
            order_digest,
            node.address,
            state.segment,
            start,
            stop,
            bytes(32) if node.forges == "in_root" else incoming.root(stop),
            bytes(32) if node.forges == "out_root" else out_root,
            tuple(document.digest(DOMAIN) for document, _ in predecessors),
            node.ask * (stop - start) + (node.forges == "price"),
        )

    def pay(self, voucher: SignedVoucher) -> None:
        self._alive()
        require_signer(voucher[0], voucher[1], DOMAIN, self.node.session_signer)
        self.node.paid = max(self.node.paid, voucher[0].amount_for(self.node.address))

    def hang_up(self) -> None:
        self._hung_up.set()

    def close(self) -> None:
        pass
