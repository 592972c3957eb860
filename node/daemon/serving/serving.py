"""What a node does for its clients: orders, rows, chunks, vouchers. Knows no sockets and no wire format.

The order of things matters more than anything else here. A voucher is written down before it buys
rows; rows are on disk before they are computed; a receipt is on disk before it leaves; and the
rows behind it are on disk for good before it is signed.
"""

from __future__ import annotations

import threading
import time

import torch
from torch import Tensor

from nexus_chain.commitments.receipt_log import ReceiptLog
from nexus_chain.market.documents import CHUNK_POSITIONS, Domain, Order, Receipt, Voucher, recover_digest
from nexus_chain.market.errors import BadSignatureError, VoucherOverCapError
from nexus_chain.market.pricing import billed_positions
from nexus_chain.wire.digests import CLOCK_TOLERANCE, access_digest, log_entry, rows_request_digest
from node.daemon.errors import (
    BusyError,
    ModelNotServedError,
    NotAuthorisedError,
    PositionError,
    PromptError,
    RowsConflictError,
    StoppingError,
)
from node.daemon.identity import Identity
from node.daemon.ledger.effects import Effect, LogReceipt
from node.daemon.ledger.events import (
    Event,
    OrderReceived,
    ReceiptSigned,
    RowsDiscarded,
    RowsReceived,
    SessionObserved,
    VoucherReceived,
)
from node.daemon.ledger.ledger import Ledger
from node.daemon.ledger.rows import RowStore
from node.daemon.ledger.state import IssuedReceipt, OrderState, check_chunk
from node.daemon.served_model import ServedModel
from node.daemon.serving.admission import (
    Application,
    ChainFacts,
    Chunk,
    SignedText,
    admit,
    check_credit,
    check_predecessors,
    credit_of,
    tokens_within,
    voucher_amount,
)
from node.daemon.serving.auditing import admit_audit, audit_event, audit_receipt
from node.daemon.serving.sequences import SequenceCache, ServedSequence
from node.daemon.serving.stopwatch import Stopwatch

#: An order that was quiet for so long does not hold up a shutdown, seconds.
QUIET_ORDER_SECONDS = 3.0
#: Orders of one session that wait for their prompt at once.
MOST_UNFED = 16
#: Orders of one session that were begun for another node's receipt, and whose first one is not signed.
MOST_CREDITS = 4
#: Rows per message of ``BoundaryRows``, bytes.
_BLOCK_BYTES = 1 << 20


class Serving:
    """One node's service. Every method may be called from any thread."""

    def __init__(
        self,
        identity: Identity,
        model: ServedModel,
        domain: Domain,
        ledger: Ledger,
        rows: RowStore,
        receipts: ReceiptLog,
        sequences: SequenceCache,
        facts: ChainFacts,
        stopwatch: Stopwatch,
    ) -> None:
        self.identity, self.model, self.domain, self.stopwatch = identity, model, domain, stopwatch
        self._ledger, self._rows, self._receipts = ledger, rows, receipts
        self._sequences, self._facts = sequences, facts
        self._log_lock, self._order_lock = threading.RLock(), threading.Lock()
        self._unlogged: tuple[Effect, ...] = ()  # receipts that were signed and are not in the log yet
        self._stopping = False
        self._touched: dict[bytes, float] = {}

    # ------------------------------------------------------------------ orders

    def open_order(self, application: Application, voucher: Voucher | None, signature: bytes) -> tuple[bytes, int]:
        """Take an order and the voucher that prepays its first chunk; its digest and the positions held for it.

        Opening a known order again changes nothing and needs no fresh deadline: the answer goes on.
        """
        order = application.order
        digest = application.digest(self.domain)
        session = self._facts.session(order.session)
        if digest not in self._ledger.state.orders:
            self._refuse_when_stopping()
            self._refuse_unfed(order.session)
            with self.stopwatch.measure("signatures"):
                self._admit(application, session)
        self._write(session)
        if voucher is not None:
            self.pay(voucher, signature)
        self._write_order(self._order_event(application, digest))
        self._touched[digest] = time.monotonic()
        return digest, self._ledger.state.order(digest).length

    def _admit(self, application: Application, session: SessionObserved) -> None:
        now, order = self._facts.now(), application.order
        if application.audit is None:
            admit(application, self.model, session, self.domain, now)
        else:
            served = order.digest(self.domain) in self._ledger.state.orders
            admit_audit(application, self.model, self.identity.address, session, self.domain, now, served=served)
        # INVARIANT: the publisher's share is paid in whatever this node earns with the version, audits included.
        self._facts.require_share(session, self.model.version)

    def _order_event(self, application: Application, digest: bytes) -> OrderReceived:
        if application.audit is not None:
            return audit_event(application, application.audit, self.model, digest)
        order = application.order
        known = self._ledger.state.orders.get(digest)
        limit = billed_positions(application.prompt_length, order.max_tokens)
        # Only what an order was opened with counts: the first receipt was priced by it.
        credit = 0 if known else credit_of(application, self.identity.address, limit, self._facts, self.domain)
        # A middle segment has no use for the prompt, so it keeps none.
        prompt = application.prompt if self.model.is_first or self.model.is_last else application.prompt[:0]
        price = known.wei_per_token if known else order.asks[application.segment].wei_per_token
        return OrderReceived(
            digest=digest,
            session=order.session,
            order=order.to_json(),
            signature=application.signature,
            segment=application.segment,
            prompt_length=application.prompt_length,
            prompt=prompt.numpy().astype("<i4").tobytes(),
            wei_per_token=price,
            limit=limit,
            credit=credit,
            credit_receipt=application.credit[0] if credit and application.credit else "",
            credit_signature=application.credit[1] if credit and application.credit else b"",
        )

    def pay(self, voucher: Voucher, signature: bytes) -> int:
        """Take a voucher; the cumulative wei now held for its session. Lower ones are harmless."""
        signer = self._ledger.state.session(voucher.session).signer
        with self.stopwatch.measure("signatures"):
            amount = voucher_amount(voucher, signature, signer, self.identity.address, self.domain)
        # The log gets our own spelling: a stranger's text could be of any length.
        event = VoucherReceived(voucher.session, amount, voucher.to_json(), signature, self._facts.now())
        try:
            self._write(event)
        except VoucherOverCapError:
            # The cap may have been raised since the chain was asked.
            self._write(self._facts.session(voucher.session))
            self._write(event)
        return self._ledger.state.session(voucher.session).cumulative

    def _write_order(self, event: OrderReceived) -> None:
        """Write an order down, a new one only within what a session may have of its kind."""
        # INVARIANT: nobody writes an order between the count of them and the write, so many at once get no further.
        with self._order_lock:
            if event.digest not in self._ledger.state.orders:
                self._refuse_unfed(event.session)
                if event.credit:
                    self._refuse_unproven(event.session)
            self._write(event)

    def _write(self, event: Event) -> tuple[Effect, ...]:
        """Bring an event to the ledger, which waits for the disk."""
        with self.stopwatch.measure("disk"):
            return self._ledger.dispatch(event)

    # -------------------------------------------------------------------- rows

    def forward(self, digest: bytes, start: int, rows: Tensor, *, discard: bool = False) -> tuple[int, Tensor]:
        """Rows i32[t] or i32[t, width] of positions from ``start`` on; what they gave, and its first position.

        Rows that were sent before are answered from what they gave then, and not billed again. With ``discard``
        they are dropped first, and not billed at all. Those of an audit give nothing: the client has what they gave.
        Nor does a free replay before it has every row of the credit; sent again then, its rows are answered.
        """
        first, outputs = self._forward(digest, start, rows, discard=discard)
        return first, outputs[:0] if self._ledger.state.order(digest).audit else outputs

    def _forward(self, digest: bytes, start: int, rows: Tensor, *, discard: bool) -> tuple[int, Tensor]:
        known = self._ledger.state.order(digest)
        with self._sequences.use(known) as sequence:
            self._touched[digest] = time.monotonic()
            if discard:
                self._discard(sequence, digest, start)
            known = self._ledger.state.order(digest)
            first = sequence.first_output(start)
            again = max(0, min(known.length - start, len(rows)))
            if again:
                self._check_same(known, start, rows[:again])
            if again < len(rows):
                out = self._take(sequence, known, start + again, rows[again:])
            if again:
                out = sequence.outputs(start, start + len(rows))
            return first, out if self._is_told(sequence, digest) else out[:0]

    def _take(self, sequence: ServedSequence, known: OrderState, start: int, rows: Tensor) -> Tensor:
        """New rows: checked, written down, computed; what they gave."""
        if self._stopping and known.length == known.closed:
            self._refuse_when_stopping()
        self._check_tokens(known, start, rows)
        self._check_whole(known, start, rows)
        event = RowsReceived(known.digest, start, len(rows), self._facts.now())

        def record() -> None:
            with self.stopwatch.measure("disk"):
                self._rows.append(known.digest, rows)

        self._ledger.dispatch(event, record)
        return self._sequences.compute(sequence, rows)

    def _is_told(self, sequence: ServedSequence, digest: bytes) -> bool:
        """Whether the order holds all rows that its credit covers; CreditError where they are not those signed for."""
        # INVARIANT: what free rows gave is not told before all of them are those that another node signed for.
        known = self._ledger.state.order(digest)
        if not known.credit or known.receipts:
            return True
        if known.length < known.credit:
            return False
        check_credit(known, self._sequences.roots(sequence, known.credit)[0])
        return True

    def _discard(self, sequence: ServedSequence, digest: bytes, start: int) -> None:
        """Drop an order's rows from ``start`` on, on disk and in memory; harmless when there are none."""
        if self._ledger.state.order(digest).length <= start:
            return
        if not sequence.can_rewind(start):
            raise PositionError(
                f"a receipt was asked for that covers positions from {start} on", advice="Open a new order."
            )
        self._ledger.dispatch(RowsDiscarded(digest, start), lambda: self._rows.truncate(digest, start))
        self._sequences.rewind(sequence, start)

    def _check_same(self, known: OrderState, start: int, rows: Tensor) -> None:
        if not torch.equal(self._rows.read(known.digest, start, start + len(rows)), rows):
            raise RowsConflictError(
                f"other rows than before were sent for positions {start} to {start + len(rows) - 1}",
                advice="Open a new order for other rows: a node never vouches for both.",
            )

    def _check_tokens(self, known: OrderState, start: int, rows: Tensor) -> None:
        if not self.model.is_first:
            return
        tokens_within(rows, self.model.vocab)
        if start >= known.prompt_length:
            return
        prompt = torch.frombuffer(bytearray(known.prompt), dtype=torch.int32)[start : start + len(rows)]
        if not torch.equal(rows[: len(prompt)], prompt):
            raise PromptError("these are not the prompt's tokens", advice="Feed the prompt that was ordered.")

    def _check_whole(self, known: OrderState, start: int, rows: Tensor) -> None:
        """INVARIANT: rows that an encoder cannot take are refused before they are kept and billed."""
        if self.model.encoder and (start, len(rows)) != (0, known.prompt_length):
            raise PromptError(
                f"an encoder takes its {known.prompt_length} positions at once, not {len(rows)} from {start} on",
                advice="Send all of the prompt's rows in one message, and none after them.",
            )

    def require_access(self, digest: bytes, signature: bytes) -> bytes:
        """The order's session; NotAuthorisedError unless ``signature`` is its key's leave to feed the order here."""
        known = self._ledger.state.order(digest)
        wanted = access_digest(digest, bytes.fromhex(self.identity.address[2:]))
        self._require_session_key(known, wanted, signature, "feed this order")
        return known.session

    # ------------------------------------------------------------------ chunks

    def afterwards(self, digest: bytes) -> None:
        """Do what can wait until an answer about an order has left: hash rows ahead, log receipts, sync rows."""
        self.log_waiting()
        with self.stopwatch.measure("commitments"):
            self._sequences.hash_ahead(digest)
        known = self._ledger.state.order(digest)
        # Where no more rows fit the chunk, its end comes next and wants them on the disk for good. A long prompt's rows
        # are many: they go there while the next segments compute.
        full = (known.billed or known.prompt_length) + CHUNK_POSITIONS
        long_prompt = known.length == known.prompt_length > CHUNK_POSITIONS
        if known.length in (known.limit, full) or long_prompt:
            with self.stopwatch.measure("disk"):
                self._rows.sync(digest)

    def close_chunk(
        self, digest: bytes, from_position: int, to_position: int, handed: tuple[SignedText, ...]
    ) -> SignedText:
        """This node's receipt for [from, to), after checking what vouches for its rows in.

        Rows beyond ``to_position`` were guesses at what follows: the chunk's end drops them.
        """
        known = self._ledger.state.order(digest)
        with self._sequences.use(known) as sequence:
            self._touched[digest] = time.monotonic()
            known = self._ledger.state.order(digest)
            # INVARIANT: one receipt for one position, whatever is handed over the second time: never two roots.
            signed = known.receipt_up_to(to_position)
            if signed is None:
                check_chunk(known, from_position, to_position)
                self._discard(sequence, digest, to_position)
                signed = self._sign_chunk(sequence, known, to_position, handed)
        return signed.json, signed.signature

    def _sign_chunk(
        self, sequence: ServedSequence, known: OrderState, to_position: int, handed: tuple[SignedText, ...]
    ) -> IssuedReceipt:
        with self.stopwatch.measure("commitments"):
            # INVARIANT: nothing is signed on top of a receipt that is wrong: it convicts whoever signed it.
            if known.credit and not known.receipts:
                check_credit(known, *self._sequences.roots(sequence, known.credit))
            in_root, out_root = self._sequences.roots(sequence, to_position)
            chunk = Chunk(known.billed, to_position, in_root)
        with self.stopwatch.measure("signatures"):
            signer = self._ledger.state.session(known.session).signer
            if known.audit:
                receipt = audit_receipt(known, chunk, out_root)
                predecessors = receipt.predecessors
            else:
                predecessors = check_predecessors(
                    chunk, known, sequence.order, handed, signer, self._facts, self.domain
                )
                receipt = self._receipt(known, chunk, out_root, predecessors)
            digest = receipt.digest(self.domain)
            event = ReceiptSigned(
                order=known.digest,
                from_position=chunk.from_position,
                to_position=to_position,
                digest=digest,
                json=receipt.to_json(),
                signature=self.identity.receipt_key.sign_digest(digest),
            )
        with self.stopwatch.measure("disk"):
            self._rows.sync(known.digest)
        # Receipts are numbered by one and counted by the other: no other receipt may come between.
        with self._log_lock, self.stopwatch.measure("disk"):
            self._unlogged += self._ledger.dispatch(event)
        return self._ledger.state.order(known.digest).receipts[-1]

    def _receipt(self, known: OrderState, chunk: Chunk, out_root: bytes, predecessors: tuple[bytes, ...]) -> Receipt:
        return Receipt(
            order_digest=known.digest,
            node=self.identity.address,
            segment=known.segment,
            from_position=chunk.from_position,
            to_position=chunk.to_position,
            in_root=chunk.in_root,
            out_root=out_root,
            predecessors=predecessors,
            price=known.wei_per_token * (chunk.to_position - chunk.from_position),
        )

    def log_waiting(self) -> None:
        """Append what was signed since to the log, in its order."""
        with self._log_lock:
            self.log_receipts(self._unlogged)
            self._unlogged = ()

    def log_receipts(self, effects: tuple[Effect, ...]) -> None:
        """Append receipts to the log, each once: also those that a crash kept from it."""
        with self._log_lock, self.stopwatch.measure("disk"):
            for effect in effects:
                if isinstance(effect, LogReceipt) and effect.number >= len(self._receipts):
                    self._receipts.append(log_entry(effect.json, effect.signature))

    # ----------------------------------------------------------------- reading

    def receipts(self, digest: bytes) -> tuple[tuple[IssuedReceipt, ...], bytes, int]:
        """An order's receipts (their numbers are places in the log), the log's root and its size."""
        known = self._ledger.state.order(digest)
        with self._log_lock:
            self.log_waiting()
            size = len(self._receipts)
            return known.receipts, self._receipts.root(size), size

    def boundary_rows(self, digest: bytes, at: int, signature: bytes, start: int = 0) -> Tensor:
        """Rows in of an order from ``start`` on, for its session key alone: as many as fit a message, none at the end.

        ``signature`` is over ``rows_request_digest`` for ``at``, Unix seconds.
        """
        known = self._ledger.state.order(digest)
        wanted = rows_request_digest(digest, bytes.fromhex(self.identity.address[2:]), at)
        self._require_session_key(known, wanted, signature, "read this order's rows")
        if abs(self._facts.now() - at) > CLOCK_TOLERANCE and abs(time.time() - at) > CLOCK_TOLERANCE:
            raise NotAuthorisedError("the request is too old", advice="Set the clock and sign a new request.")
        if not self.model.serves(Order.from_json(known.order), known.segment):
            raise ModelNotServedError("the order's rows are of another layer range", advice="Ask the node's operator.")
        block = max(1, _BLOCK_BYTES // (4 * (self.model.input_width or 1)))
        start = min(start, known.length)
        return self._rows.read(digest, start, min(start + block, known.length))

    def _require_session_key(self, known: OrderState, wanted: bytes, signature: bytes, what: str) -> None:
        try:
            signer = recover_digest(wanted, signature)
        except BadSignatureError as error:
            raise NotAuthorisedError(error.message, advice="Sign the request with the session key.") from error
        if signer != self._ledger.state.session(known.session).signer:
            raise NotAuthorisedError(f"{signer} may not {what}", advice="Sign the request with the session key.")

    @property
    def active_orders(self) -> int:
        """Orders that were worked on a moment ago."""
        now = time.monotonic()
        return sum(now - touched < QUIET_ORDER_SECONDS for touched in list(self._touched.values()))

    # ---------------------------------------------------------------- shutdown

    def drain(self, seconds: float) -> None:
        """Take no new chunk; wait until the open ones are closed, quiet, or ``seconds`` are over."""
        self._stopping = True
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._open_chunks():
            time.sleep(0.05)

    def _open_chunks(self) -> bool:
        now, orders = time.monotonic(), self._ledger.state.orders
        recent = [orders.get(digest) for digest, at in list(self._touched.items()) if now - at < QUIET_ORDER_SECONDS]
        return any(order is not None and order.length > order.closed for order in recent)

    def forget(self, orders: tuple[bytes, ...]) -> None:
        """Delete what is kept of orders that nobody can dispute any more."""
        with self._log_lock:
            # Afterwards nobody could fill this log up again.
            self.log_waiting()
            self._receipts.sync()
        for digest in orders:
            self._sequences.forget(digest)
            self._rows.delete(digest)
            self._touched.pop(digest, None)

    def _refuse_unfed(self, session: bytes) -> None:
        # INVARIANT: an order takes room for months, and one prepaid prompt pays for one, not for any number.
        known = self._ledger.state.orders.values()
        if sum(order.session == session and order.length < order.prompt_length for order in known) >= MOST_UNFED:
            raise BusyError(
                f"{MOST_UNFED} orders of this session wait for their prompt", advice="Feed them, or open a new session."
            )

    def _refuse_unproven(self, session: bytes) -> None:
        # INVARIANT: a free replay is work for a receipt that may be made up: a session gets few until one is proven.
        known = self._ledger.state.orders.values()
        unproven = [order for order in known if order.session == session and order.credit and not order.receipts]
        if len(unproven) >= MOST_CREDITS:
            raise BusyError(
                f"{MOST_CREDITS} orders of this session were begun for another node's receipt and have none from here",
                advice="Close their chunks, or prepay the replay.",
            )

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            raise StoppingError("the node is shutting down", advice="Continue on another node.")
