"""A GGUF file, read as the Hugging Face checkpoint that it was made from."""

from nexus_chain.program.gguf_import.conversion import convert_gguf

__all__ = ["convert_gguf"]
