"""A node without its network: ledger, rows, receipts, engine and service, recovered from the data folder.

It opens no port and sends no transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nexus_chain.commitments.receipt_log import ReceiptLog
from nexus_chain.market.documents import Domain
from node.daemon.data_folder import events_path, receipts_path, rows_path
from node.daemon.identity import Identity
from node.daemon.ledger.ledger import Ledger
from node.daemon.ledger.recovery import receipts_to_log, recover_rows
from node.daemon.ledger.rows import RowStore
from node.daemon.ledger.state import Terms
from node.daemon.ledger.write_ahead_log import WriteAheadLog
from node.daemon.served_model import ServedModel
from node.daemon.serving.admission import ChainFacts
from node.daemon.serving.scheduler import Scheduler, SegmentEngine
from node.daemon.serving.sequences import SequenceCache
from node.daemon.serving.serving import Serving
from node.daemon.serving.stopwatch import Stopwatch


@dataclass(frozen=True)
class OfflineNode:
    """A node's parts that need no network. ``close`` it before its folder is used again."""

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
    ) -> OfflineNode:
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
        serving.log_receipts(receipts_to_log(ledger, receipts))
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
