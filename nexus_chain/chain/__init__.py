"""Typed access to the chain: connections, wallets, transactions, one class per contract.

Knows nothing of tensors, models' contents or sockets between nodes.
"""
