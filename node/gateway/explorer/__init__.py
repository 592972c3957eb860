"""What the explorer shows: the chain's events, read once by one follower, kept on disk, and told to whoever listens."""
