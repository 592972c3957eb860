"""A session's key as the page has it: it signs proofs of its own (DPoP, RFC 9449)."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from node.gateway.access.key_proofs import THUMBPRINT_URN


def base64url(data: bytes) -> str:
    """Without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class SessionKey:
    """A P-256 key. ``jwk``: its public half; ``thumbprint``: its name."""

    def __init__(self, curve: ec.EllipticCurve | None = None) -> None:
        self.private = ec.generate_private_key(curve or ec.SECP256R1())
        point = self.private.public_key().public_numbers()
        size = (self.private.key_size + 7) // 8
        x, y = (base64url(one.to_bytes(size, "big")) for one in (point.x, point.y))
        name = {256: "P-256", 384: "P-384"}[self.private.key_size]
        self.jwk = {"crv": name, "kty": "EC", "x": x, "y": y}
        self.thumbprint = base64url(hashlib.sha256(json.dumps(self.jwk, separators=(",", ":")).encode()).digest())

    @property
    def resource(self) -> str:
        """The line of a sign-in message that names it."""
        return f"\n- {THUMBPRINT_URN}{self.thumbprint}"

    def proof(self, token: str, method: str, url: str, now: float, **changes: Any) -> str:
        """A proof for one request. ``changes``: of its claims, or of its header as ``header``; None leaves one out."""
        claims = {"htm": method, "htu": url, "iat": int(now), "jti": secrets.token_urlsafe(16)}
        claims["ath"] = base64url(hashlib.sha256(token.encode()).digest())
        header = {"typ": "dpop+jwt", "jwk": self.jwk} | changes.pop("header", {})
        said = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(said, self.private, changes.pop("algorithm", "ES256"), headers=header)
