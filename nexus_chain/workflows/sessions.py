"""Sessions of a user: which one a task means, and what opening, closing and settling one comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_chain.chain.earnings import Settled, sum_settlements
from nexus_chain.chain.transactions import Mined
from nexus_chain.client.client import Client
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.opening import WantedLock
from nexus_chain.client.session import Session
from nexus_chain.client.session_money import SessionEnd
from nexus_chain.client.session_recovery import RecoveredSession, recover_sessions, set_damaged_aside
from nexus_chain.client.store import OPEN, StoredLine, StoredSession
from nexus_chain.market.documents import checksum
from nexus_chain.workflows.library import ModelLibrary
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class SessionRequest:
    """What a session is opened for. ``model``: the beginning of a version's id; None: the newest that is here.

    ``value_at_risk``: wei that a wrong answer could cost. ``operators``: the only nodes that may ever take part.
    """

    tokens: int
    seconds: int
    model: str | None = None
    value_at_risk: int = 0
    operators: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenedSession:
    """A session with the lines that its money is locked in, by node.

    ``locked``: wei over all lines and the publisher's share of each; ``share``: its rate, basis points.
    """

    session: Session
    mined: Mined
    lines: dict[str, StoredLine]
    locked: int
    share: int


@dataclass(frozen=True)
class SettledSession:
    """What a session's end paid to whom; ``mined`` None: others had settled every line before."""

    session: bytes
    amounts: Settled
    mined: Mined | None


def open_session(
    client: Client,
    library: ModelLibrary,
    wanted: SessionRequest,
    allow: Callable[[WantedLock], None] = lambda lock: None,
) -> OpenedSession:
    """Lock money for the nodes of the best route, and beside it for the version's publisher, once ``allow`` was told
    how much and did not raise.

    Raises ModelFilesError and what ``Client.open_session`` raises.
    """
    version = library.choose(wanted.model)
    session, mined = client.open_session(
        version,
        library.files_of(version),
        tokens=wanted.tokens,
        seconds=wanted.seconds,
        value_at_risk=wanted.value_at_risk,
        operators=wanted.operators,
        allow=allow,
    )
    store = client.store
    return OpenedSession(session, mined, store.lines(session.id), store.locked(session.id), store.share(session.id))


def close_session(client: Client, session: SessionEnd) -> tuple[Mined, int]:
    """Start the challenge window; returns when it ends too, chain time in Unix seconds."""
    mined = session.close()
    return mined, client.contracts.market.session_of(session.record.id).end


def settle_session(client: Client, session: SessionEnd) -> SettledSession:
    """Pay the nodes and the vault after the challenge window, and get the rest back.

    Raises SessionStateError before its end. Nothing is left to do where the nodes were quicker.
    """
    mined = session.settle()
    number = session.record.id
    return SettledSession(number, sum_settlements(client.contracts, session=number), mined)


def candidate_sessions(
    client: Client, library: ModelLibrary, wanted: str | None, new: Callable[[], Session] | None = None
) -> Iterator[Session]:
    """Sessions to ask in, one at least: the wanted one alone, else the open ones, newest first, of the newest's model.

    ``new`` opens one where none is wanted and none is open. Raises SessionStateError.
    """
    found = _found(client, wanted, OPEN)
    if wanted is None and new is not None and not found:
        yield new()
        return
    record = _newest(found, wanted, OPEN)
    first = client.session(record.id, library.files_of(record.model_version))
    yield first
    if wanted is None:
        version, direct = first.record.model_version, first.record.direct
        for record in reversed(client.sessions()):
            alike = (record.state, record.model_version, record.direct) == (OPEN, version, direct)
            if alike and record.id != first.id:
                yield client.session(record.id, library.files_of(version))


def pick_session(client: Client, library: ModelLibrary, wanted: str | None, *states: str) -> Session:
    """The session whose id starts with ``wanted``, else the newest in the first of ``states`` that has one.

    Raises SessionStateError.
    """
    record = pick_record(client, wanted, *states)
    return client.session(record.id, library.files_of(record.model_version))


def pick_ending(client: Client, wanted: str | None, *states: str) -> SessionEnd:
    """The same to close or settle it, which needs neither model files nor a session key. Raises SessionStateError."""
    return SessionEnd(client.user, pick_record(client, wanted, *states))


def find_lost_sessions(workspace: Workspace, owner: str | None = None) -> tuple[Path | None, list[RecoveredSession]]:
    """Set a damaged database aside and find the sessions of the wallet, or of ``owner``, on the chain.

    Returns where the damaged one is now, and the sessions that were not known. Raises ChainError, ClientStoreError.
    """
    address = checksum(owner) if owner else workspace.address
    chain = workspace.chain  # before anything is moved: a chain that does not answer changes nothing
    chain.market.require_code()
    aside = set_damaged_aside(workspace.home.database)
    with workspace.client(signing=False) as client:
        return aside, recover_sessions(client.user, address)


def _found(client: Client, wanted: str | None, *states: str) -> list[StoredSession]:
    """The sessions whose ids start with ``wanted``, else those in the first of ``states`` that has one."""
    prefix = (wanted or "").lower().removeprefix("0x")
    known = [record for record in client.sessions() if record.id.hex().startswith(prefix)]
    by_state = ([record for record in known if record.state == state] for state in states)
    return known if wanted else next(filter(None, by_state), [])


def pick_record(client: Client, wanted: str | None, *states: str) -> StoredSession:
    """As ``pick_session``, what this machine knows of it. Raises SessionStateError."""
    return _newest(_found(client, wanted, *states), wanted, *states)


def _newest(found: Sequence[StoredSession], wanted: str | None, *states: str) -> StoredSession:
    """The last of what ``_found`` found. Raises SessionStateError where there is none, or more than one is meant."""
    if not found or (wanted and len(found) > 1):
        what = f"start with {wanted}" if wanted else f"are {' or '.join(states)}"
        raise SessionStateError(
            f"{len(found)} of this machine's sessions {what}",
            advice="See `nexus session list`, or open one with `nexus session open`; `nexus ask --yes` opens one, too.",
        )
    return found[-1]
