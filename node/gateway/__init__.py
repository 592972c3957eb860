"""``nexus-gateway``: the network behind the HTTP interfaces that clients already speak.

It is a client of the network as any other is: it holds sessions, checks receipts, and keeps the evidence.
"""
