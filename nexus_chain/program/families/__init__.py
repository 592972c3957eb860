"""One file per model family: from its checkpoint's configuration and tensors to an integer model."""
