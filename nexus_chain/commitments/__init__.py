"""Merkle commitments: trees, tensors, openings, weights, shard files and the receipt log."""
