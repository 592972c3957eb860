"""What is signed off-chain, what it costs, and how it is paid.

Orders, receipts and vouchers as EIP-712 documents, the checks a node and a client make on
them, prices in wei. Knows nothing of tensors, nothing of sockets, and of the chain only
the numbers that it is handed.
"""
