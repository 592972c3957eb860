"""Openings whose answer was lost: an earlier command paid for a session and was not told so.

The journal of transactions has them, with a note that says what each was for. They are finished here, and their
sessions used, before anything is paid again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nexus_chain.chain.transactions import Mined, Sender
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.session_states import read_state
from nexus_chain.client.store import OPEN, StoredSession
from nexus_chain.client.user import User
from nexus_chain.json_text import parse_json
from nexus_chain.market.documents import Line

OPENINGS = ("open", "openFor", "payPerInference", "payPerInferenceFor")
LEAST_SECONDS = 60
"""A session that lives no longer than this is of no use to anybody."""


@dataclass(frozen=True)
class OpeningNote:
    """What an opening was for. ``request``: what its command was asked; ``caps``: wei by node."""

    session: bytes
    market: str
    version: bytes
    request: str
    operators: tuple[str, ...]
    caps: Mapping[str, int]
    direct: bool = False

    def to_text(self) -> str:
        """For the journal."""
        fields = {"session": self.session.hex(), "version": self.version.hex(), "market": self.market}
        caps = {node: str(wei) for node, wei in self.caps.items()}
        rest = {"request": self.request, "operators": list(self.operators), "caps": caps, "direct": self.direct}
        return json.dumps({**fields, **rest}, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> OpeningNote | None:
        """From the journal; None where another program wrote it."""
        try:
            data = parse_json(text.encode())
            caps = {str(node): int(wei) for node, wei in data["caps"].items()}
            session, version = bytes.fromhex(data["session"]), bytes.fromhex(data["version"])
            operators = tuple(map(str, data["operators"]))
            return cls(session, data["market"], version, data["request"], operators, caps, bool(data["direct"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def covers(self, caps: Sequence[Line]) -> bool:
        """Whether each of ``caps`` is locked here."""
        return all(self.caps.get(cap.node, 0) >= cap.cumulative for cap in caps)


def finish_openings(
    user: User, sender: Sender, wanted: Callable[[OpeningNote], bool]
) -> Iterator[tuple[StoredSession, Mined]]:
    """Sessions of lost openings that are wanted: each is mined, at the latest now, and can be asked in. ``tell`` it.

    Raises TransactionPendingError where one may still be mined.
    """
    for intent in sender.unfinished(*OPENINGS):
        note = OpeningNote.from_text(intent.note)
        if note is None or note.market != user.contracts.domain.verifying_contract or not wanted(note):
            continue
        try:
            record = user.store.session(note.session)
        except SessionStateError:  # its key is not here: `nexus session recover` finds it
            continue
        if (mined := sender.resume(intent)) is None:
            continue
        if _is_usable(user, record):
            yield record, mined
        else:
            sender.tell(mined)


def _is_usable(user: User, record: StoredSession) -> bool:
    state = read_state(user.contracts, user.store, record, user.chain_time)
    return state == OPEN and record.expiry - user.chain_time() > LEAST_SECONDS
