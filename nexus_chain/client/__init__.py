"""The user's side: sessions, asking, failover, verifying.

Knows no transport: connections to nodes come in as a ``Dial`` (``nexus_chain.wire.tls_peer.dial``).
"""
