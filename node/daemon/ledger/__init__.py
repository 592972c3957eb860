"""What a node must not forget: its pure state, and the write-ahead log behind it."""
