"""Proofs that whoever sends a request holds the key of its session (DPoP, RFC 9449), so that a stolen token is worth
nothing.

A session that was opened for a key is named after it: by its JWK thumbprint (RFC 7638), which stands in the message
that the wallet signed. Each request then carries a small text that the key signed for this request alone.

Each gateway remembers which proofs it saw. Several gateways on one database do not tell each other.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any, cast

import jwt

from node.gateway.accounts import SentProof
from node.gateway.errors import InvalidProofError

THUMBPRINT_URN = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:"
"""What a key's thumbprint is called in a sign-in message (RFC 9278)."""
_ANY_THUMBPRINT = THUMBPRINT_URN.removesuffix("sha-256:")
PROOF_SECONDS = 60
"""How old a proof may be."""
AHEAD_SECONDS = 10
"""By how much a proof's time may be ahead of the gateway's."""
KEPT_PROOFS = 100_000
"""How many proofs a gateway remembers: more than it can check within the time in which they count."""
_MOST_PROOF, _MOST_ID = 2_048, 128
_LAST_SECOND = 1 << 40
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_COORDINATE = re.compile(r"[A-Za-z0-9_-]{43}")


def names_key(resource: str) -> bool:
    """Whether a resource of a sign-in message is meant to name a key, by whatever hash and in whatever capitals."""
    return resource.lower().startswith(_ANY_THUMBPRINT)


def is_thumbprint(text: str) -> bool:
    """Whether ``text`` can be a SHA-256 thumbprint: 43 characters of base64url."""
    return _THUMBPRINT.fullmatch(text) is not None


def thumbprint_of(key: dict[str, Any]) -> str:
    """The thumbprint of a public P-256 key (RFC 7638, SHA-256). Raises InvalidProofError for any other key."""
    required = {name: key.get(name) for name in ("crv", "kty", "x", "y")}
    points = (required["x"], required["y"])
    if (required["kty"], required["crv"]) != ("EC", "P-256") or "d" in key:
        raise _refused("the proof's key (jwk) is no public P-256 key")
    if not all(isinstance(point, str) and _COORDINATE.fullmatch(point) for point in points):
        raise _refused("the proof's key (jwk) is no public P-256 key")
    return _base64(hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest())


class KeyProofs:
    """Checks proofs and remembers them. One for a gateway; not for several threads at once."""

    def __init__(self, clock: Callable[[], float], most: int = KEPT_PROOFS) -> None:
        """``clock``: Unix seconds. ``most``: proofs that are remembered at once."""
        self._clock, self._most = clock, most
        self._times: list[tuple[int, bytes]] = []  # a heap: the oldest first
        self._seen: set[bytes] = set()
        # INVARIANT: what is not remembered is refused by its time. A gateway that starts remembers nothing yet.
        self._forgotten = math.floor(clock()) - 1

    def require(self, sent: SentProof | None, token: str, thumbprint: str) -> None:
        """Take the proof of one request that presents ``token``, whose session's key has ``thumbprint``.

        Raises InvalidProofError where there is none, where it is for something else, and where it was seen before.
        """
        if sent is None or len(sent.proofs) == 0:
            raise _refused("this session is bound to a key, and the request carries no proof of it (DPoP)")
        if sent.scheme != "dpop":
            raise _refused("the token of a session with a key is not sent as Bearer")
        if len(sent.proofs) > 1:
            raise _refused("the request carries several proofs")
        key, claims = _opened(sent.proofs[0])
        if thumbprint_of(key) != thumbprint:
            raise _refused("the proof is by another key than the session's")
        _require_request(claims, sent)
        if claims.get("ath") != _base64(hashlib.sha256(token.encode()).digest()):
            raise _refused("the proof is for another token (ath)")
        made = self._require_time(claims.get("iat"))
        self._remember(thumbprint, claims.get("jti"), made)

    def _require_time(self, made: Any) -> int:
        # A whole number may be too large for a float, which is no time either.
        if isinstance(made, bool) or not isinstance(made, int | float) or not 0 <= made < _LAST_SECOND:
            raise _refused("the proof does not say when it was made (iat)")
        late = self._clock() - made
        if late > PROOF_SECONDS:
            raise _refused(f"the proof is {late:.0f} seconds older than the gateway's clock: this clock may be behind")
        if late < -AHEAD_SECONDS:
            raise _refused(f"the proof is {-late:.0f} seconds ahead of the gateway's clock: this clock may be ahead")
        return math.floor(made)

    def _remember(self, thumbprint: str, id: Any, made: int) -> None:
        if not isinstance(id, str) or not 1 <= len(id) <= _MOST_ID:
            raise _refused("the proof has no id (jti), or one that is too long")
        oldest = math.floor(self._clock()) - PROOF_SECONDS - 1
        while self._times and self._times[0][0] < oldest:
            self._forget_oldest()
        if made <= self._forgotten:
            raise _refused("the proof is older than what this gateway remembers")
        digest = hashlib.sha256(f"{thumbprint} {id}".encode("utf-8", "surrogatepass")).digest()[:16]
        if digest in self._seen:
            raise _refused("the proof was used before")
        self._seen.add(digest)
        heapq.heappush(self._times, (made, digest))
        if len(self._times) > self._most:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Also where the clock is set back later: what is forgotten counts no more."""
        made, gone = heapq.heappop(self._times)
        self._seen.discard(gone)
        self._forgotten = max(self._forgotten, made)


def _opened(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The public key that signed a proof, and what it says."""
    if len(proof) > _MOST_PROOF:
        raise _refused("the proof is too long")
    try:
        header = jwt.get_unverified_header(proof)
        key = header.get("jwk")
        if header.get("typ") != "dpop+jwt" or header.get("alg") != "ES256" or not isinstance(key, dict):
            raise _refused("the proof is no dpop+jwt by ES256 with its key (jwk)")
        thumbprint_of(key)  # first: no other kind of key reaches the library
        opened = jwt.PyJWS().decode_complete(proof, jwt.PyJWK(key, "ES256"), algorithms=["ES256"])
        claims = json.loads(opened["payload"])
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _refused("the proof's signature is wrong, or it is no JSON Web Token") from None
    if not isinstance(claims, dict):
        raise _refused("the proof says nothing")
    return cast(dict[str, Any], key), claims


def _require_request(claims: dict[str, Any], sent: SentProof) -> None:
    if claims.get("htm") != sent.method:
        raise _refused(f"the proof is for another method than {sent.method} (htm)")
    url = claims.get("htu")
    if not isinstance(url, str) or url.partition("#")[0].partition("?")[0] != sent.url:
        raise _refused("the proof is for another address (htu)")


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _refused(why: str) -> InvalidProofError:
    return InvalidProofError(
        why,
        advice="Send `Authorization: DPoP TOKEN` and, in `DPoP`, a new proof by the session's key (RFC 9449).",
    )
