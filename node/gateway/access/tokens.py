"""Secrets that callers present: drawn at random, kept as digests.

A token has 256 random bits, so nobody finds one by trying, and one SHA-256 of it says nothing about it. Slow hashes and
salts are for passwords, which people choose; here they would only make each request slower.
"""

from __future__ import annotations

import hashlib
import secrets

KEY_PREFIX = "sk-nexus-"
SESSION_PREFIX = "nexus-session-"
_MOST_CHARACTERS = 256
_RANDOM_BYTES = 32


def new_token(prefix: str) -> str:
    """A token that nobody else has."""
    return prefix + secrets.token_urlsafe(_RANDOM_BYTES)


def token_digest(token: str) -> bytes | None:
    """What a token is kept and found by; None for what can be none of ours."""
    if len(token) > _MOST_CHARACTERS or not token.isascii():
        return None
    return hashlib.sha256(token.encode()).digest()
