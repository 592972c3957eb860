"""After a restart: the state is brought to what the disk holds, and the receipt log to what the state holds."""

from __future__ import annotations

import logging

from nexus_chain.commitments.receipt_log import ReceiptLog
from nexus_chain.errors import DataFolderError
from nexus_chain.market.documents import Order
from node.daemon.ledger.effects import LogReceipt
from node.daemon.ledger.events import RowsRecovered
from node.daemon.ledger.ledger import Ledger
from node.daemon.ledger.rows import RowStore
from node.daemon.served_model import ServedModel

log = logging.getLogger(__name__)


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


def receipts_to_log(ledger: Ledger, receipts: ReceiptLog) -> tuple[LogReceipt, ...]:
    """Every receipt of the state in the log's order; raises DataFolderError when the log has more than were signed."""
    if len(receipts) > ledger.state.receipts:
        raise DataFolderError(
            f"the receipt log has {len(receipts)} entries, the write-ahead log {ledger.state.receipts}",
            advice="Restore events.sqlite and receipts.sqlite from the same backup.",
        )
    signed = sorted(
        (receipt for order in ledger.state.orders.values() for receipt in order.receipts),
        key=lambda receipt: receipt.number,
    )
    return tuple(LogReceipt(one.number, one.json, one.signature) for one in signed)
