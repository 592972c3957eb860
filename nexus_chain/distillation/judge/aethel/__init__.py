"""Aethel: small programs that say what they assume, what they do, and what holds then. See docs/aethel.md."""
