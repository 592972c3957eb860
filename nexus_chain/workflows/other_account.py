"""Sessions of an account that is not this machine's wallet: a contract account, or one whose key is elsewhere.

The account makes its calls by whatever means it has; this machine holds the session's key, and asks in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus_chain.chain.inference_market import AgreedShare
from nexus_chain.client.client import Client
from nexus_chain.client.errors import SessionStateError
from nexus_chain.client.session_key import load_key
from nexus_chain.client.store import CLOSED, OPENING, SETTLED, StoredSession
from nexus_chain.market.documents import checksum
from nexus_chain.workflows.library import ModelLibrary
from nexus_chain.workflows.sessions import SessionRequest, pick_record


@dataclass(frozen=True)
class AccountCall:
    """A transaction that the account is to send: ``value`` in wei."""

    name: str
    to: str
    value: int
    data: bytes


@dataclass(frozen=True)
class PreparedSession:
    """A session that is on this disk and not on the chain; ``calls`` by which its account opens, closes, is paid."""

    record: StoredSession
    calls: tuple[AccountCall, ...]


def prepare_for(client: Client, library: ModelLibrary, account: str, wanted: SessionRequest) -> PreparedSession:
    """Keep a new session key and say what ``account`` has to send. Sends nothing.

    Raises ModelFilesError and what ``Client.open_session`` raises.
    """
    version, market = library.choose(wanted.model), client.contracts.market
    new = client.prepare_session(
        checksum(account), version, library.files_of(version), tokens=wanted.tokens, seconds=wanted.seconds,
        value_at_risk=wanted.value_at_risk, operators=wanted.operators,
    )  # fmt: skip
    value, record = client.store.locked(new.record.id), new.record
    # INVARIANT: an account may send the call hours later. It is for the version, also where there is no share now: were
    # one set meanwhile, the call is refused instead of money being locked in a session that no node serves.
    for_none = AgreedShare(version, 0) if client.contracts.models.most_share() else None
    share = new.share or for_none
    calls = (
        ("open", value, market.encode_open(record.signer, record.expiry, new.caps, new.nonce, share)),
        ("close", 0, market.encode("close", new.record.id)),
        ("withdraw", 0, market.encode("withdraw")),
    )
    made = tuple(AccountCall(name, market.address, wei, bytes(data)) for name, wei, data in calls)
    return PreparedSession(new.record, made)


def adopt_session(client: Client, wanted: str) -> StoredSession:
    """Take up the prepared session whose id starts with ``wanted``, once its account has opened it.

    Raises SessionStateError where the chain does not have it, has it with another key, or has ended it.
    """
    record = pick_record(client, wanted)
    # INVARIANT: a session is asked in only if the chain has it open, for the key that is here.
    if record.state == OPENING:
        raise SessionStateError(
            f"the chain has no session 0x{record.id.hex()} of {record.user} yet",
            advice="Have the account send the `open` call that `nexus session prepare` printed, and wait for it.",
        )
    if record.state in (CLOSED, SETTLED):
        raise SessionStateError(
            f"session 0x{record.id.hex()} is {record.state}", advice="Prepare another with `nexus session prepare`."
        )
    market = client.contracts.market
    signer = market.session_of(record.id).signer
    if checksum(signer) != record.signer:
        raise SessionStateError(
            f"{record.user} opened session 0x{record.id.hex()} for the key {signer}, not {record.signer}",
            advice="Have the account close it, and send the printed call as it is.",
        )
    load_key(client.user.home.session_keys, record.signer)
    for node in client.store.lines(record.id):
        client.store.set_cap(record.id, node, market.line_of(record.id, node).cap)
    client.store.set_share(record.id, market.share_of(record.id).basis_points)
    client.store.set_session_state(record.id, record.state)
    return record
