"""The wire between clients and nodes: ``shard.proto``, its generated modules, and a client's end of it."""
