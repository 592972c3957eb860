"""The operator's own key: made once, kept in a file, with credit that is given once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from nexus_chain.errors import SettingsError
from node.gateway.access.api_keys import caller_of_key
from node.gateway.access.bootstrap import OPERATOR_ACCOUNT, ensure_operator_key
from node.gateway.ledger.books import OPERATOR, audit_books, booked_balance, user
from node.gateway.ledger.database import Database
from node.gateway.ledger.tables import API_KEYS
from tests.support.gateway_databases import fresh_database

pytestmark = pytest.mark.fast


def credit(database: Database) -> tuple[int, int]:
    names = (user(OPERATOR_ACCOUNT), OPERATOR)
    first, second = (database.read(partial(booked_balance, account=name)) for name in names)
    return first, second


def test_the_same_key_and_credit_however_often(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "up" / "key"
    keys = {ensure_operator_key(database, file, 500) for _ in range(3)}
    assert len(keys) == 1
    (key,) = keys
    assert (file.read_text(), file.stat().st_mode & 0o777) == (key + "\n", 0o600)
    caller = database.read(partial(caller_of_key, token=key, now=0.0))
    assert caller is not None
    assert (caller.account, sorted(caller.scopes)) == ("operator", ["answer", "keys", "read"])
    assert credit(database) == (500, -500)
    ensure_operator_key(database, file, 800)
    ensure_operator_key(database, file, 600)
    assert credit(database) == (800, -800)
    assert database.read(audit_books) == []


def test_a_new_database_learns_the_old_key(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = ensure_operator_key(database, file, 500)
    with fresh_database("sqlite", tmp_path / "other") as other:
        assert ensure_operator_key(other, file, 500) == key
        assert other.read(partial(caller_of_key, token=key, now=0.0)) is not None
        assert credit(other) == (500, -500)


@pytest.mark.parametrize("text", ["", "hello", "sk-nexus-short", "sk-nexus-" + "a" * 40 + "\nanother", "\u00e9"])
def test_a_file_that_is_no_key_is_refused_and_kept(database: Database, tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(SettingsError):
        ensure_operator_key(database, file, 500)
    assert file.read_text() == text
    assert credit(database) == (0, 0)


def test_a_key_that_was_revoked_is_not_brought_back(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "key"
    ensure_operator_key(database, file, 500)
    database.write(lambda connection: connection.execute(update(API_KEYS).values(revoked=1)))
    with pytest.raises(SettingsError, match="was revoked"):
        ensure_operator_key(database, file, 500)
