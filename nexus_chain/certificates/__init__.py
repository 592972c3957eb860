"""Certificates of model versions: made, stored under IPFS addresses, anchored, audited.

Talks to the chain only through the three read calls of ``audit.ChainReader``.
"""
