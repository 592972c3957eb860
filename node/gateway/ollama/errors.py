"""Errors as Ollama's clients read them."""

from __future__ import annotations

from node.gateway.errors import GatewayError


def ollama_error(error: GatewayError) -> dict[str, str]:
    """The body of an error, and the line that ends a stream which failed."""
    return {"error": str(error)}
