"""A user's sessions from the chain, where this machine's database is gone or damaged.

What the chain has: who opened a session, its key, its lines and their caps. What it has not: the vouchers that nodes
hold and have not posted. So a session that was found is RECOVERED: it can be closed and settled, which pays nodes what
they hold vouchers for and gives the rest back. Nothing is asked in it any more, because a new voucher would have to
guess what was promised, and money that is guessed too high is lost.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from nexus_chain.chain.contracts import Contracts
from nexus_chain.client.errors import ClientStoreError
from nexus_chain.client.home import ClientHome
from nexus_chain.client.session_states import read_state
from nexus_chain.client.store import RECOVERED, StoredLine, StoredSession
from nexus_chain.client.user import User
from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market.documents import checksum

UNKNOWN_VERSION = bytes(32)
_BESIDE = ("", "-wal", "-shm")


@dataclass(frozen=True)
class RecoveredSession:
    """A session that the chain had and this machine did not. ``key``: whether its key is in the home.

    ``locked``: wei over all lines, and the publisher's share of each.
    """

    record: StoredSession
    lines: tuple[StoredLine, ...]
    key: bool
    locked: int


def set_damaged_aside(path: Path) -> Path | None:
    """Rename a database that SQLite cannot read; returns its new name, None where nothing is wrong with it.

    Nothing is deleted. Raises ClientStoreError where the file cannot be looked at.
    """
    if not path.exists() or not is_damaged(path):
        return None
    number = next(n for n in count(1) if not path.with_name(f"{path.name}.damaged-{n}").exists())
    aside = path.with_name(f"{path.name}.damaged-{number}")
    for end in _BESIDE:
        if (file := path.with_name(path.name + end)).exists():
            os.rename(file, aside.with_name(aside.name + end))
    return aside


def is_damaged(path: Path) -> bool:
    """Whether SQLite finds the database damaged. Raises ClientStoreError where it cannot be looked at."""
    try:
        database = sqlite3.connect(path, timeout=10)
        try:
            return bool(database.execute("PRAGMA integrity_check").fetchall() != [("ok",)])
        finally:
            database.close()
    except sqlite3.OperationalError as error:
        raise ClientStoreError(
            f"{path} cannot be looked at: {error}", advice="Close programs that use it, and check the disk."
        ) from error
    except sqlite3.DatabaseError:
        return True


def recover_sessions(user: User, owner: str) -> list[RecoveredSession]:
    """Remember every session that ``owner`` opened on this deployment and that is not known here; returns those.

    Sessions that are known stay as they are. Raises ChainError, ClientStoreError.
    """
    known = {record.id for record in user.store.sessions()}
    opened = user.contracts.market.events(
        "SessionOpened", user.contracts.deployment.block, where={"user": checksum(owner)}
    )
    lost = [event.arguments for event in opened if bytes(event.arguments["session"]) not in known]
    versions = _versions_in(user.home, user.contracts)
    return [_recover(user, bytes(found["session"]), owner, found["caps"], versions) for found in lost]


def _recover(
    user: User, session: bytes, owner: str, caps: Sequence[object], versions: dict[bytes, bytes]
) -> RecoveredSession:
    market, domain = user.contracts.market, user.contracts.domain
    found = market.session_of(session)
    allotted = market.events("Allotted", user.contracts.deployment.block, where={"session": session})
    nodes = dict.fromkeys([*(_node_of(cap) for cap in caps), *(event.arguments["node"] for event in allotted)])
    on_chain = {node: market.line_of(session, node) for node in nodes}
    lines = tuple(StoredLine(node, line.cap, line.cumulative, line.cap) for node, line in on_chain.items())
    share = market.share_of(session)
    opened_for = share.model_version if any(share.model_version) else UNKNOWN_VERSION
    record = StoredSession(
        session, domain.chain_id, domain.verifying_contract, checksum(owner), checksum(found.signer),
        versions.get(session, opened_for), found.expiry, False, RECOVERED,
    )  # fmt: skip
    user.store.add_recovered(record, lines, share.basis_points)
    state = read_state(user.contracts, user.store, record, user.chain_time)
    user.store.set_session_state(session, state)
    key = (user.home.session_keys / f"{record.signer}.key").is_file()
    return RecoveredSession(user.store.session(session), lines, key, user.store.locked(session))


def _node_of(cap: object) -> str:
    return str(cap["node"] if hasattr(cap, "keys") else cap[0])  # type: ignore[index]


def _versions_in(home: ClientHome, contracts: Contracts) -> dict[bytes, bytes]:
    """The model version of each session that kept answers are from."""
    found: dict[bytes, bytes] = {}
    for path in sorted(home.answers.glob("*.json")):
        try:
            proof = InferenceProof.load(path)
        except (ProofFileError, OSError):
            continue
        if proof.domain == contracts.domain:
            found[proof.order.session] = proof.order.model_version
    return found
