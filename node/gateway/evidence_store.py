"""Answers' evidence in the gateway's database: by id, for their owner, for as long as the operator keeps it.

A document is JSON that holds the conversation. It is kept compressed, and nothing of it is ever logged.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    select,
    update,
)

from node.gateway.ledger.books import insert_new
from node.gateway.ledger.database import Database

_TABLES = MetaData()
_ANSWERS = Table(
    "gateway_answers",
    _TABLES,
    Column("id", String(32), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("created", BigInteger, nullable=False, index=True),
    Column("document", LargeBinary, nullable=False),
    Column("verification", Text),
    Column("signed_text", Text),
)

# Statements of every answer are built once: building one takes longer than running it.
_FORGET = delete(_ANSWERS).where(_ANSWERS.c.created < bindparam("before"))
_NOTE_RESPONSE = (
    update(_ANSWERS)
    .where(_ANSWERS.c.id.in_(bindparam("ids", expanding=True)))
    .values(signed_text=bindparam("new_text"))
)
FORGET_SECONDS = 60
"""How often old evidence is looked for."""


@dataclass(frozen=True)
class KeptEvidence:
    """``document``: see ``evidence.document_of``. ``verification``: what recomputing found, None: not recomputed.

    ``signed_text``: hashes of request and response; None while the response is not at its end.
    """

    document: dict[str, Any]
    verification: dict[str, Any] | None
    signed_text: str | None


@dataclass(frozen=True)
class NewEvidence:
    """See ``PaidEvidence``. ``row``: its columns but the document."""

    store: EvidenceStore
    row: dict[str, Any]
    document: dict[str, Any]

    def add(self, connection: Connection) -> None:
        """Keep it; again changes nothing."""
        self.store.forget(connection)
        packed = zlib.compress(json.dumps(self.document).encode(), 1)
        connection.execute(insert_new(connection, _ANSWERS), {**self.row, "document": packed})

    def keep(self) -> None:
        """Keep it, in a transaction of its own. Raises UnavailableError."""
        self.store.write(self.add)


class EvidenceStore:
    """The table of answers. Every method works in the calling thread, and raises UnavailableError."""

    def __init__(self, database: Database, keep_days: float = 30.0) -> None:
        """``keep_days``: older evidence is deleted."""
        self._database, self._keep_seconds = database, keep_days * 86_400
        self._forgot = 0
        database.write(lambda connection: _TABLES.create_all(connection))

    def evidence(self, id: str, owner: str, document: dict[str, Any]) -> NewEvidence:
        """An answer's evidence, to be kept by whoever pays for it."""
        return NewEvidence(self, {"id": id, "owner": owner, "created": int(time.time())}, document)

    def write(self, work: Callable[[Connection], None]) -> None:
        """A transaction of its own, not durable by itself."""
        self._database.write(work, durable=False)

    def forget(self, connection: Connection) -> None:
        """Now and then, delete what is older than the operator keeps."""
        now = int(time.time())
        if now - self._forgot >= FORGET_SECONDS:
            connection.execute(_FORGET, {"before": now - self._keep_seconds})
            self._forgot = now

    def note_response(self, ids: list[str], signed_text: str) -> None:
        """Say which bytes the answers were part of. After a power cut it may be unknown, as if they broke off."""
        what = {"ids": ids, "new_text": signed_text}
        self._database.write(lambda connection: connection.execute(_NOTE_RESPONSE, what), durable=False)

    def note_verification(self, id: str, found: dict[str, Any]) -> None:
        """Say what recomputing an answer found."""
        change = update(_ANSWERS).where(_ANSWERS.c.id == id).values(verification=json.dumps(found))
        self._database.write(lambda connection: connection.execute(change))

    def find(self, id: str, owner: str) -> KeptEvidence | None:
        """An answer's evidence; None where there is none of that id that belongs to ``owner``."""
        wanted = select(_ANSWERS).where(_ANSWERS.c.id == id, _ANSWERS.c.owner == owner)
        row = self._database.read(lambda connection: connection.execute(wanted).first())
        if row is None:
            return None
        checked = None if row.verification is None else json.loads(row.verification)
        return KeptEvidence(json.loads(zlib.decompress(row.document)), checked, row.signed_text)
