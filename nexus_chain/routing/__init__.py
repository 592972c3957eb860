"""Who serves which layers: cutting models, placing shards, seeing the registry, choosing routes.

Reads the chain through ``nexus_chain.chain``; measures nothing itself and opens no sockets.
"""
