"""The parts of a node that serve, recovered from its data folder; no network, no transactions."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from nexus_chain.commitments.receipt_log import ReceiptLog
from nexus_chain.market.documents import Domain, Order
from node.daemon.data_folder import events_path, receipts_path, rows_path
from node.daemon.errors import DataFolderError
from node.daemon.ledger.ledger import Ledger
from node.daemon.ledger.state import LogReceipt, RowsRecovered, Terms
from node.daemon.ledger.write_ahead_log import WriteAheadLog
from node.daemon.served_model import ServedModel
from node.daemon.serving.admission import ChainFacts
from node.daemon.serving.rows import RowStore
from node.daemon.serving.scheduler import Scheduler, SegmentEngine
from node.daemon.serving.sequences import SequenceCache
from node.daemon.serving.serving import Identity, Serving
from node.daemon.serving.stopwatch import Stopwatch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Core:
    """A node's ledger, logs, engine and service. ``close`` it before its folder is used again."""

    ledger: Ledger
    rows: RowStore
    receipts: ReceiptLog
    scheduler: Scheduler
    serving: Serving
    stopwatch: Stopwatch

    @classmethod
    def open(
        cls,
        folder: Path,
        identity: Identity,
        model: ServedModel,
        engine: SegmentEngine,
        facts: ChainFacts,
        domain: Domain,
        terms: Terms,
        most_orders: int = 64,
    ) -> Core:
        """Recover the node in ``folder`` (a new one where it is empty). Raises DataFolderError."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = WriteAheadLog(events_path(folder))
        log.make_room()
        ledger = Ledger(log, terms)
        rows = RowStore(rows_path(folder), model.input_width)
        # The write-ahead log has every receipt for good before this log gets it, and fills it up again.
        receipts = ReceiptLog(receipts_path(folder), synchronous="NORMAL")
        recover_rows(ledger, rows, model)
        stopwatch = Stopwatch()
        scheduler = Scheduler(engine, stopwatch, whole=model.encoder)
        sequences = SequenceCache(model, engine, scheduler, rows, most_orders)
        serving = Serving(identity, model, domain, ledger, rows, receipts, sequences, facts, stopwatch)
        recover_receipt_log(ledger, receipts, serving)
        return cls(ledger, rows, receipts, scheduler, serving, stopwatch)

    def close(self) -> None:
        """Finish what the engine has, then close the files."""
        self.scheduler.stop()
        try:
            self.serving.log_waiting()
        finally:
            self.ledger.close()
            self.receipts.close()
            self.rows.close()


def recover_rows(ledger: Ledger, rows: RowStore, model: ServedModel) -> None:
    """Bring every order to the length that its rows on disk have."""
    for order in ledger.state.orders.values():
        if not model.serves(Order.from_json(order.order), order.segment):
            continue  # from before the node was given another block: its rows have another width
        kept = rows.trim(order.digest)
        if kept < order.closed:
            log.error(
                "order 0x%s: %d of %d receipted rows are missing; restore the folder from a backup",
                order.digest.hex(),
                order.closed - kept,
                order.closed,
            )
        ledger.dispatch(RowsRecovered(order.digest, max(kept, order.closed)))


def recover_receipt_log(ledger: Ledger, receipts: ReceiptLog, serving: Serving) -> None:
    """Append the receipts that a crash kept from the log; raises DataFolderError when the log is ahead."""
    if len(receipts) > ledger.state.receipts:
        raise DataFolderError(
            f"the receipt log has {len(receipts)} entries, the write-ahead log {ledger.state.receipts}",
            advice="Restore events.sqlite and receipts.sqlite from the same backup.",
        )
    signed = sorted(
        (receipt for order in ledger.state.orders.values() for receipt in order.receipts),
        key=lambda receipt: receipt.number,
    )
    serving.log_receipts(tuple(LogReceipt(one.number, one.json, one.signature) for one in signed))
