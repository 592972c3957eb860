"""The client's database and key files: nothing lost, nobody else's business."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nexus_chain.client.errors import ClientStoreError, SessionStateError
from nexus_chain.client.home import ClientHome
from nexus_chain.client.session_key import load_key, new_key, save_key
from nexus_chain.client.store import DONE, OPEN, ClientStore, StoredLine, StoredSession
from nexus_chain.market.documents import Ask, Line, Order, Receipt, TokenFeed, Voucher, address_of

SESSION, DIGEST, NODE = bytes([1]) * 32, bytes([2]) * 32, "0x" + "11" * 20
RECORD = StoredSession(SESSION, 31337, NODE, NODE, NODE, bytes(32), 2**40, False, created=1.0)
ORDER = Order(SESSION, bytes(32), bytes(32), bytes(32), 4, bytes(32), 0, 2**100, (Ask(0, 1, 3),), 2**40)
RECEIPT = Receipt(DIGEST, NODE, 0, 0, 2, bytes(32), bytes(32), (), 6)
FEED = TokenFeed(DIGEST, 2, bytes(32))


def filled(path: Path) -> ClientStore:
    store = ClientStore(path)
    store.add_session(RECORD, [StoredLine(NODE, 2**70)])
    store.add_order(DIGEST, ORDER, b"o", [7, 8])
    return store


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    store = filled(tmp_path / "c.sqlite")
    store.set_session_state(SESSION, OPEN)
    store.add_tokens(DIGEST, 2, [9])
    store.add_receipt(RECEIPT, b"r")
    store.add_receipt(RECEIPT, b"r")
    store.add_feed(FEED, b"f")
    assert store.lines(SESSION)[NODE].used == RECEIPT.price
    for amount in (2**65, 2**66, 2**66):
        store.add_voucher(Voucher(SESSION, (Line(NODE, amount),)), b"v")
    store.set_used(SESSION, NODE, 5)
    store.finish_order(DIGEST, DONE)
    # No close(): what was written must not depend on a clean end.
    again = ClientStore(tmp_path / "c.sqlite")
    assert again.session(SESSION).state == OPEN
    assert again.lines(SESSION) == {NODE: StoredLine(NODE, 2**70, 2**66, 5)}
    last = again.last_voucher(SESSION)
    assert last is not None
    assert last[0].amount_for(NODE) == 2**66
    order = again.order(DIGEST)
    assert (order.order, order.tokens, order.prompt_length, order.state) == (ORDER, (7, 8, 9), 2, DONE)
    assert (order.receipts, order.feeds) == (((RECEIPT, b"r"),), ((FEED, b"f"),))
    assert again.order_digests() == again.order_digests(SESSION) == [DIGEST]
    store.close()
    again.close()


def test_a_voucher_is_numbered_once(tmp_path: Path) -> None:
    store = filled(tmp_path / "c.sqlite")
    for amount in (5, 7, 7):
        store.add_voucher(Voucher(SESSION, (Line(NODE, amount),)), b"v")
    assert store._read("SELECT number FROM vouchers") == [(1,), (2,)]
    store.close()


def test_a_write_that_was_cut_off_before_its_end_leaves_nothing_and_blocks_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path / "c.sqlite")
    store._db.execute("BEGIN IMMEDIATE")
    store._db.execute("DELETE FROM tokens")
    store.add_tokens(DIGEST, 2, [9])
    assert store.order(DIGEST).tokens == (7, 8, 9)
    store.close()


def test_half_a_session_is_never_stored(tmp_path: Path) -> None:
    store = ClientStore(tmp_path / "c.sqlite")
    with pytest.raises(ClientStoreError):
        store.add_session(RECORD, [StoredLine(NODE, 1), StoredLine(NODE, 1)])
    assert store.sessions() == []
    store.close()


def test_unknown_session_and_order(tmp_path: Path) -> None:
    store = ClientStore(tmp_path / "c.sqlite")
    with pytest.raises(SessionStateError, match="session list"):
        store.session(SESSION)
    with pytest.raises(SessionStateError, match="NEXUS_HOME"):
        store.order(DIGEST)
    assert store.last_voucher(SESSION) is None
    store.close()


def test_damaged_and_newer_databases_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(ClientStoreError, match="nexus session recover"):
        ClientStore(tmp_path / "bad.sqlite")
    database = sqlite3.connect(tmp_path / "new.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ClientStoreError, match="format 99"):
        ClientStore(tmp_path / "new.sqlite")


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    home = ClientHome(tmp_path / "home").prepare()
    ClientStore(home.database).close()
    key = new_key()
    address = save_key(home.session_keys, key)
    assert address == address_of(key)
    assert load_key(home.session_keys, address) == key
    for path in (home.root, home.database, home.session_keys, home.session_keys / f"{address}.key"):
        assert path.stat().st_mode & 0o077 == 0


def test_lost_or_swapped_session_key(tmp_path: Path) -> None:
    address, other = save_key(tmp_path, new_key()), save_key(tmp_path, new_key())
    with pytest.raises(SessionStateError, match="backup"):
        load_key(tmp_path, NODE)
    (tmp_path / f"{address}.key").write_text((tmp_path / f"{other}.key").read_text())
    with pytest.raises(SessionStateError, match="another address"):
        load_key(tmp_path, address)


def test_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClientStoreError, match="NEXUS_HOME"):
        ClientHome(tmp_path / "file" / "home").prepare()
