"""Sign-in with Ethereum (EIP-4361): whoever holds an account's key, or its contract's consent, gets a session.

A nonce carries when it was made and a code that only gateways on this database can compute. So asking for one writes
nothing, however often a stranger asks. It is written down when it is used, and is used once.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from eth_utils.address import to_checksum_address
from siwe import DomainMismatch, SiweMessage, VerificationError
from sqlalchemy import Connection, delete, insert, select
from web3.exceptions import Web3Exception

from nexus_chain.chain.errors import ChainError
from node.gateway.access.api_keys import SCOPES
from node.gateway.access.key_proofs import THUMBPRINT_URN, is_thumbprint, names_key
from node.gateway.access.tokens import SESSION_PREFIX, new_token, token_digest
from node.gateway.accounts import Caller
from node.gateway.errors import GatewayError, InvalidRequestError, UnauthorizedError, UnavailableError
from node.gateway.ledger.books import insert_new
from node.gateway.ledger.tables import SECRETS, SESSIONS, USED_NONCES

NONCE_SECONDS = 600
"""How long a nonce may be used, and how old a message may be."""
SIGNED_IN_SECONDS = 12 * 3_600
_CLOCK_SECONDS = 60  # by which a wallet's clock may be ahead
_MOST_MESSAGE, _MOST_LINE, _MOST_SIGNATURE = 1_500, 300, 16_000
_SECRET_NAME, _SECRET_BYTES = "sign-in", 32
_TIME_DIGITS, _RANDOM_DIGITS, _CODE_DIGITS = 10, 24, 32


@dataclass(frozen=True)
class SignInTerms:
    """What a message has to say. ``domain``: host and port; ``uri``: the gateway's address; both as callers see them.

    ``provider``: web3's way to the chain, for accounts that are contracts (ERC-1271, ERC-6492); None: those cannot.
    """

    domain: str
    uri: str
    chain_id: int
    provider: Any = None


@dataclass(frozen=True)
class SignedIn:
    """A session: the token, whose it is, until when (Unix seconds), and the thumbprint of the key that it needs."""

    token: str
    account: str
    expires: int
    thumbprint: str | None = None


def nonce_secret(connection: Connection) -> bytes:
    """The secret of all gateways on this database; made by the first."""
    row = {"name": _SECRET_NAME, "value": secrets.token_bytes(_SECRET_BYTES)}
    connection.execute(insert_new(connection, SECRETS), [row])
    return bytes(connection.scalar(select(SECRETS.c.value).where(SECRETS.c.name == _SECRET_NAME)) or b"")


def new_nonce(secret: bytes, now: float) -> str:
    """A nonce that can be used once, for ``NONCE_SECONDS``."""
    body = f"{int(now):0{_TIME_DIGITS}x}" + secrets.token_hex(_RANDOM_DIGITS // 2)
    return body + _code(secret, body)


def _code(secret: bytes, body: str) -> str:
    return hmac.new(secret, body.encode(), sha256).hexdigest()[:_CODE_DIGITS]


def _require_fresh(secret: bytes, nonce: str, now: float) -> None:
    body, code = nonce[: _TIME_DIGITS + _RANDOM_DIGITS], nonce[_TIME_DIGITS + _RANDOM_DIGITS :]
    if len(code) != _CODE_DIGITS or not hmac.compare_digest(code, _code(secret, body)):
        raise UnauthorizedError("the message's nonce is not this gateway's", advice="Ask for one: GET /v1/siwe/nonce.")
    if not 0 <= now - int(body[:_TIME_DIGITS], 16) <= NONCE_SECONDS:
        raise UnauthorizedError("the message's nonce has expired", advice="Ask for another: GET /v1/siwe/nonce.")


def verify_message(text: str, signature: str, terms: SignInTerms, secret: bytes, now: float) -> SiweMessage:
    """A message that says what it must and that its account signed. Asks the chain where a contract has to consent.

    Raises InvalidRequestError (no such message), UnauthorizedError (not by that account, not for here, not now) and
    UnavailableError (the chain does not answer).
    """
    message = _parsed(text, signature, terms)
    _require_fresh(secret, message.nonce, now)
    _require_times(message, now)
    key_named_in(message)
    try:
        message.verify(
            signature,
            domain=terms.domain,
            uri=terms.uri,
            chain_id=terms.chain_id,
            nonce=message.nonce,
            timestamp=datetime.fromtimestamp(now, UTC),
            provider=terms.provider,
            strict=True,
        )
    except (VerificationError, ValueError) as error:
        raise _refused(error, terms) from None
    except (ChainError, Web3Exception, OSError) as error:
        raise UnavailableError(
            "the chain does not answer, and it has to say whether the account signed this",
            advice="Try again in a moment.",
            retry_after=5.0,
        ) from error
    return message


def _parsed(text: str, signature: str, terms: SignInTerms) -> SiweMessage:
    lines = text.split("\n")
    if len(text) > _MOST_MESSAGE or max(map(len, lines)) > _MOST_LINE or len(signature) > _MOST_SIGNATURE:
        raise InvalidRequestError("the message or its signature is too long", advice="Sign a plain EIP-4361 message.")
    # The grammar's parser takes long over what is no such message: a stranger's nonsense is refused before it.
    if not lines[0].endswith(" wants you to sign in with your Ethereum account:"):
        raise InvalidRequestError("this is no EIP-4361 message", advice="Write it as EIP-4361 says.", param="message")
    if lines[0].split(" ", 1)[0].rpartition("://")[2] != terms.domain:
        raise _refused(DomainMismatch(), terms)
    try:
        message = SiweMessage.from_message(text)
    except (ValueError, TypeError):
        raise InvalidRequestError(
            "this is no EIP-4361 message", advice="Write it as EIP-4361 says.", param="message"
        ) from None
    if message.prepare_message() != text:
        raise InvalidRequestError("this is no EIP-4361 message to the letter", advice="Send it as it was signed.")
    if message.address != to_checksum_address(message.address):
        raise InvalidRequestError(
            "the message's address is not in EIP-55 capitals", advice="Write it with its checksum.", param="message"
        )
    return message


def key_named_in(message: SiweMessage) -> str | None:
    """The thumbprint of the key that a message names among its resources; None where it names none.

    Raises InvalidRequestError where it names several, or one that is no SHA-256 thumbprint.
    """
    # INVARIANT: who asks for a session with a key gets one or none, and never one that its token alone opens.
    named = [one.removeprefix(THUMBPRINT_URN) for one in message.resources or [] if names_key(one)]
    if not named:
        return None
    if len(named) > 1 or not is_thumbprint(named[0]):
        raise InvalidRequestError(
            "the message names no one key for its session",
            advice=f"Give one resource {THUMBPRINT_URN}THUMBPRINT, as RFC 9278 says.",
            param="message",
        )
    return str(named[0])


def _require_times(message: SiweMessage, now: float) -> None:
    issued = message.issued_at._datetime.timestamp()
    if not -_CLOCK_SECONDS <= now - issued <= NONCE_SECONDS + _CLOCK_SECONDS:
        raise UnauthorizedError("the message was not issued just now", advice="Sign a new one; check your clock.")


def _refused(error: Exception, terms: SignInTerms) -> GatewayError:
    """What is wrong in words; the library's own words could quote a signature."""
    reasons = {
        "DomainMismatch": f"the message is for another domain than {terms.domain}",
        "UriMismatch": f"the message is for another URI than {terms.uri}",
        "ChainIdMismatch": f"the message is for another chain than {terms.chain_id}",
        "ExpiredMessage": "the message has expired",
        "NotYetValidMessage": "the message is not valid yet",
        "InvalidSignature": "the message's account did not sign it",
    }
    reason = reasons.get(type(error).__name__, "the message cannot be verified")
    return UnauthorizedError(reason, advice="Sign a new message with what GET /v1/siwe/nonce says.")


def begin_session(connection: Connection, message: SiweMessage, now: float) -> SignedIn:
    """A session for a message that was verified. Raises UnauthorizedError where its nonce was used before."""
    connection.execute(delete(USED_NONCES).where(USED_NONCES.c.expires < int(now)))
    connection.execute(delete(SESSIONS).where(SESSIONS.c.expires < int(now)))
    row = {"nonce": message.nonce, "expires": int(now) + 2 * NONCE_SECONDS}
    # INVARIANT: the unique key decides, also between two gateways: one message opens one session.
    used = insert_new(connection, USED_NONCES).values(row).returning(USED_NONCES.c.nonce)
    if connection.scalar(used) is None:
        raise UnauthorizedError("the message's nonce was used before", advice="Ask for another: GET /v1/siwe/nonce.")
    expires = int(now) + SIGNED_IN_SECONDS
    if message.expiration_time is not None:
        expires = min(expires, int(message.expiration_time._datetime.timestamp()))
    token, thumbprint = new_token(SESSION_PREFIX), key_named_in(message)
    row = {"account": message.address, "expires": expires, "thumbprint": thumbprint}
    connection.execute(insert(SESSIONS).values(digest=token_digest(token), **row))
    return SignedIn(token, message.address, expires, thumbprint)


def end_session(connection: Connection, token: str) -> bool:
    """End the session ``token``, at every gateway on this database; False where there is none."""
    ended = delete(SESSIONS).where(SESSIONS.c.digest == token_digest(token)).returning(SESSIONS.c.digest)
    return connection.execute(ended).first() is not None


def caller_of_session(connection: Connection, token: str, now: float) -> Caller | None:
    """Who presents the session ``token``; None where it is nobody's. Raises UnauthorizedError where it has expired."""
    found = connection.execute(select(SESSIONS).where(SESSIONS.c.digest == token_digest(token))).first()
    if found is None:
        return None
    if found.expires <= now:
        raise UnauthorizedError("this session has expired", advice="Sign in again.")
    return Caller(found.account, frozenset(SCOPES), thumbprint=found.thumbprint)
