"""Bodies of the routes for keys, sign-in and accounts. Amounts of wei are decimal strings: JSON's numbers end early."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from node.gateway.access.api_keys import ApiKey, KeyTerms
from node.gateway.accounts import ANSWER, READ

_MOST_WEI = 2**256 - 1


def _whole_wei(value: Any) -> Any:
    """A string of digits or an integer; floats and signs are no wei."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("give whole wei as decimal digits")


GivenWei = Annotated[int, BeforeValidator(_whole_wei, json_schema_input_type=int | str), Field(ge=0, le=_MOST_WEI)]


class NewKeyBody(BaseModel):
    """``expires_in``: seconds from now."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=100)
    scopes: list[str] = Field(default_factory=lambda: [ANSWER, READ], max_length=10)
    wei_per_day: GivenWei | None = None
    requests_per_minute: int | None = Field(None, ge=1, le=1_000_000)
    expires_in: int | None = Field(None, ge=1, le=10 * 366 * 86_400)

    def terms(self, now: float) -> KeyTerms:
        """What the key may do. ``now``: Unix seconds."""
        expires = None if self.expires_in is None else int(now) + self.expires_in
        # Each scope once, in the order given.
        scopes = tuple(dict.fromkeys(self.scopes))
        return KeyTerms(self.name, scopes, self.wei_per_day, self.requests_per_minute, expires)


class KeyBody(BaseModel):
    """A key without its secret. Times are Unix seconds."""

    object: str = "api_key"
    id: str
    name: str
    scopes: list[str]
    wei_per_day: str | None
    requests_per_minute: int | None
    created: int
    expires: int | None
    revoked: int | None

    @classmethod
    def of(cls, key: ApiKey, **more: Any) -> KeyBody:
        """As JSON says it."""
        terms = key.terms
        return cls(
            id=key.id,
            name=terms.name,
            scopes=list(terms.scopes),
            wei_per_day=None if terms.wei_per_day is None else str(terms.wei_per_day),
            requests_per_minute=terms.requests_per_minute,
            created=key.created,
            expires=terms.expires,
            revoked=key.revoked,
            **more,
        )


class MadeKeyBody(KeyBody):
    """With the secret, which is shown this once."""

    key: str


class KeyListBody(BaseModel):
    """The newest first."""

    object: str = "list"
    data: list[KeyBody]


class NonceBody(BaseModel):
    """What a message for this gateway has to say. ``expires_in``: seconds."""

    nonce: str
    domain: str
    uri: str
    chain_id: int
    version: str = "1"
    expires_in: int


class SignedMessageBody(BaseModel):
    """An EIP-4361 message and its signature in hexadecimal."""

    model_config = ConfigDict(extra="forbid")

    message: str
    signature: str


class SessionBody(BaseModel):
    """``expires``: Unix seconds. ``token_type``: DPoP where each request needs a proof of the key that ``thumbprint``
    names, else Bearer."""

    object: str = "session"
    token: str
    account: str
    expires: int
    token_type: str = "Bearer"
    thumbprint: str | None = None


class AccountBody(BaseModel):
    """What an account has. ``spent_today_wei``: since midnight, UTC. ``refundable_wei``: asked back of a deposit."""

    object: str = "account"
    account: str
    balance_wei: str
    reserved_wei: str
    refundable_wei: str
    spent_today_wei: str
