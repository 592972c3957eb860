"""``nexus-node``: registers a node, serves a shard, defends and settles what it served."""
