"""A key and credit for the operator's own account: what a development network starts with."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, select

from nexus_chain.errors import SettingsError
from nexus_chain.staging import write_whole
from node.gateway.access.api_keys import SCOPES, KeyTerms, caller_of_key, make_key
from node.gateway.access.tokens import KEY_PREFIX, new_token
from node.gateway.accounts import Caller
from node.gateway.errors import UnauthorizedError
from node.gateway.ledger.books import OPERATOR, post, user
from node.gateway.ledger.database import Database
from node.gateway.ledger.tables import LEDGER_ENTRIES, TRANSACTIONS

OPERATOR_ACCOUNT = "operator"
"""The name of the operator's own account."""
_KIND = "operator credit"
_SHORTEST = len(KEY_PREFIX) + 32


def ensure_operator_key(database: Database, key_file: Path, wei: int) -> str:
    """An API key of the operator's account, in ``key_file`` (mode 0600), with ``wei`` of credit in all; returned.

    Again it returns the same key and adds no credit; with more ``wei`` it adds what is missing. Raises SettingsError
    (the file holds no key, or one that was revoked) and UnavailableError.
    """
    secret = _secret_in(key_file)
    database.write(partial(_establish, secret=secret, key_file=key_file, wei=wei))
    return secret


def _secret_in(key_file: Path) -> str:
    """The file's key; a new one where there is no file. It is on the disk before anybody can use it."""
    try:
        if not key_file.exists():
            write_whole(key_file, new_token(KEY_PREFIX) + "\n", 0o600)
        secret = key_file.read_text(encoding="ascii").strip()
        key_file.chmod(0o600)
    except (OSError, ValueError) as error:
        raise SettingsError(f"the key file {key_file} cannot be used", advice="Give a file of your own.") from error
    if not secret.startswith(KEY_PREFIX) or len(secret) < _SHORTEST or len(secret.split()) != 1:
        raise SettingsError(f"{key_file} holds no API key", advice="Move it away: another one is made.")
    return secret


def _establish(connection: Connection, secret: str, key_file: Path, wei: int) -> None:
    owner = Caller(OPERATOR_ACCOUNT, frozenset(SCOPES))
    try:
        known = caller_of_key(connection, secret, time.time())
    except UnauthorizedError:
        raise SettingsError(f"the key in {key_file} was revoked", advice="Move it away: another is made.") from None
    if known is None:
        make_key(connection, owner, KeyTerms("operator", SCOPES), time.time(), secret)
    elif known.account != OPERATOR_ACCOUNT:
        raise SettingsError(f"the key in {key_file} is another account's", advice="Move it away: another is made.")
    given = _given(connection)
    if wei > given:
        post(connection, f"{_KIND}:{wei}", _KIND, {OPERATOR: given - wei, user(OPERATOR_ACCOUNT): wei - given})


def _given(connection: Connection) -> int:
    """Wei of credit so far."""
    query = select(LEDGER_ENTRIES.c.wei).join(TRANSACTIONS).where(TRANSACTIONS.c.kind == _KIND)
    return sum(int(wei) for wei in connection.scalars(query.where(LEDGER_ENTRIES.c.account == user(OPERATOR_ACCOUNT))))
