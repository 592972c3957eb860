"""Content addressing: canonical documents, CIDs, blocks, and the stores and daemons that hold them."""
