"""API keys: made, found by the secret that a caller presents, listed, revoked.

The database holds digests: a copy of it opens nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from node.gateway.access.tokens import KEY_PREFIX, new_token, token_digest
from node.gateway.accounts import ANSWER, KEYS, READ, Caller
from node.gateway.errors import ForbiddenError, InvalidRequestError, NotFoundError, UnauthorizedError
from node.gateway.ledger.tables import API_KEYS

SCOPES = (ANSWER, READ, KEYS)
MOST_KEYS = 1_000
"""Keys that one account may have, revoked ones included."""
_BY_DIGEST = select(API_KEYS).where(API_KEYS.c.digest == bindparam("of_token"))


@dataclass(frozen=True)
class KeyTerms:
    """What a key may do. ``wei_per_day``, ``requests_per_minute``: None without limit. ``expires``: Unix seconds."""

    name: str = ""
    scopes: tuple[str, ...] = (ANSWER, READ)
    wei_per_day: int | None = None
    requests_per_minute: int | None = None
    expires: int | None = None


@dataclass(frozen=True)
class ApiKey:
    """A key as its owner sees it, without its secret. Times are Unix seconds."""

    id: str
    terms: KeyTerms
    created: int
    revoked: int | None = None


def make_key(
    connection: Connection, maker: Caller, terms: KeyTerms, now: float, secret: str | None = None
) -> tuple[ApiKey, str]:
    """A new key of the maker's account, and its secret, which is never to be had again.

    ``secret``: one that exists already. Raises ForbiddenError where the maker may not give what the key would have.
    """
    _require_may_give(maker, terms)
    count = connection.scalar(select(func.count()).where(API_KEYS.c.account == maker.account)) or 0
    if count >= MOST_KEYS:
        raise ForbiddenError(f"the account has {count} keys, and may have no more", advice="Use those that it has.")
    secret = secret or new_token(KEY_PREFIX)
    made = ApiKey("key_" + secrets.token_hex(8), terms, int(now))
    connection.execute(
        insert(API_KEYS).values(
            id=made.id,
            digest=token_digest(secret),
            account=maker.account,
            name=terms.name,
            scopes=" ".join(terms.scopes),
            wei_per_day=terms.wei_per_day,
            requests_per_minute=terms.requests_per_minute,
            created=made.created,
            expires=terms.expires,
        )
    )
    return made, secret


def _require_may_give(maker: Caller, terms: KeyTerms) -> None:
    if unknown := [scope for scope in terms.scopes if scope not in SCOPES]:
        raise InvalidRequestError(
            f"there is no scope {unknown[0]!r}", advice=f"Scopes are {', '.join(SCOPES)}.", param="scopes"
        )
    if not terms.scopes:
        raise InvalidRequestError("a key without scopes opens nothing", advice="Give at least one.", param="scopes")
    # INVARIANT: no key makes one that may do more than itself.
    if missing := [scope for scope in terms.scopes if scope not in maker.scopes]:
        raise ForbiddenError(
            f"this key has not the scope {missing[0]!r} that the new one would have", advice="Sign in."
        )
    if maker.wei_per_day is not None or maker.requests_per_minute is not None:
        raise ForbiddenError("a key with limits makes no keys: together they would have none", advice="Sign in.")
    if maker.expires is not None and (terms.expires is None or terms.expires > maker.expires):
        raise ForbiddenError(
            "a key makes none that outlives it", advice="Give expires_in, so that it ends no later, or sign in."
        )


def list_keys(connection: Connection, account: str) -> Sequence[ApiKey]:
    """Every key of an account, the newest first."""
    query = select(API_KEYS).where(API_KEYS.c.account == account)
    return [_key_of(row) for row in connection.execute(query.order_by(API_KEYS.c.created.desc(), API_KEYS.c.id))]


def revoke_key(connection: Connection, account: str, key: str, now: float) -> ApiKey:
    """End a key of that public id; again changes nothing. Raises NotFoundError for another account's, too."""
    mine = (API_KEYS.c.account == account, API_KEYS.c.id == key)
    connection.execute(update(API_KEYS).where(*mine, API_KEYS.c.revoked.is_(None)).values(revoked=int(now)))
    found = connection.execute(select(API_KEYS).where(*mine)).first()
    if found is None:
        raise NotFoundError(f"there is no key {key!r}", advice="List your keys with GET /v1/keys.")
    return _key_of(found)


def caller_of_key(connection: Connection, token: str, now: float) -> Caller | None:
    """Who presents the secret ``token``; None where it is nobody's. Raises UnauthorizedError: revoked or expired."""
    found = connection.execute(_BY_DIGEST, {"of_token": token_digest(token)}).first()
    if found is None:
        return None
    if found.revoked is not None:
        raise UnauthorizedError("this API key was revoked", advice="Make another one.")
    if found.expires is not None and found.expires <= now:
        raise UnauthorizedError("this API key has expired", advice="Make another one.")
    terms = _key_of(found).terms
    scopes = frozenset(terms.scopes)
    limits = (terms.wei_per_day, terms.requests_per_minute)
    return Caller(found.account, scopes, found.id, *limits, expires=terms.expires)


def _key_of(row: Row[Any]) -> ApiKey:
    terms = KeyTerms(row.name, tuple(row.scopes.split()), row.wei_per_day, row.requests_per_minute, row.expires)
    return ApiKey(row.id, terms, row.created, row.revoked)
