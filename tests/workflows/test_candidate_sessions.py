"""Which session a question is asked in: the wanted one, else open ones of one model, newest first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nexus_chain.client.store import CLOSED, OPEN, StoredSession
from nexus_chain.workflows.sessions import candidate_sessions

ADDRESS, MODEL = "0x" + "11" * 20, bytes(32)


def record(number: int, state: str = OPEN, version: bytes = MODEL) -> StoredSession:
    return StoredSession(bytes([number]) * 32, 1, ADDRESS, ADDRESS, ADDRESS, version, 2**40, False, state)


def chosen(wanted: str | None) -> list[int]:
    records = [record(1), record(2, CLOSED), record(3, version=b"\x01" * 32), record(4), record(5)]
    by_id = {one.id: SimpleNamespace(id=one.id, record=one) for one in records}
    client: Any = SimpleNamespace(sessions=lambda: records, session=lambda name, files=None: by_id[name])
    library: Any = SimpleNamespace(files_of=lambda version: None)
    return [session.id[0] for session in candidate_sessions(client, library, wanted)]


def test_the_newest_is_asked_first_and_others_of_its_model_after_it() -> None:
    """Regression: a small session that was opened last kept the money of the one before it from being used."""
    assert chosen(None) == [5, 4, 1]


def test_a_session_that_is_named_is_the_only_one() -> None:
    assert chosen("0101") == [1]


def test_a_new_one_is_opened_only_where_none_is_open_or_wanted() -> None:
    records: list[StoredSession] = [record(2, CLOSED)]
    client: Any = SimpleNamespace(
        sessions=lambda: records, session=lambda name, files=None: SimpleNamespace(id=name, record=records[-1])
    )
    library: Any = SimpleNamespace(files_of=lambda version: None)
    opened: Any = SimpleNamespace(id=b"new")
    assert list(candidate_sessions(client, library, None, lambda: opened)) == [opened]
    assert [one.id[0] for one in candidate_sessions(client, library, "0202", lambda: opened)] == [2]
    records.append(record(3))
    assert [one.id[0] for one in candidate_sessions(client, library, None, lambda: opened)] == [3]
