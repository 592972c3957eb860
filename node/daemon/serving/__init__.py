"""What a node does for its clients: connections, orders, rows, batches, receipts."""
