"""InferenceMarket: sessions, vouchers, settlement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from nexus_chain.chain.bound import PullPayments
from nexus_chain.chain.errors import ContractRevertedError
from nexus_chain.chain.transactions import Mined
from nexus_chain.market.documents import Line, Voucher, checksum
from nexus_chain.market.publisher_share import locked_with_share, publisher_share


@dataclass(frozen=True)
class SessionRecord:
    """A session, as the chain holds it."""

    user: str
    signer: str  # session key
    expiry: int  # timestamp
    end: int  # timestamp when the challenge window of all lines ends; 0 while open
    line_count: int


@dataclass(frozen=True)
class LineRecord:
    """One node's line of a session, as the chain holds it. Amounts in wei."""

    cap: int
    cumulative: int
    end: int  # vouchers count until this timestamp
    closed_by_node: bool
    refunded: bool
    settled: bool
    open_games: int


@dataclass(frozen=True)
class SessionShare:
    """For which version a session was opened, and what its publisher gets beside what nodes earn.

    These are zero where it was opened for none. ``opened_at``: timestamp; 0 where the chain knows no such session.
    """

    model_version: bytes
    publisher: str
    basis_points: int
    opened_at: int = 0


#: What a market says of a session that it does not know.
NO_SHARE = SessionShare(bytes(32), "0x" + "00" * 20, 0)


@dataclass(frozen=True)
class AgreedShare:
    """The version that a session is opened for, and the share that its user agrees to."""

    model_version: bytes
    basis_points: int


@dataclass(frozen=True)
class ReceiptLogRecord:
    """A node's latest commitment to its receipt log."""

    root: bytes
    count: int
    committed_at: int


class Refusal(IntEnum):
    """Why one line of a voucher was not taken."""

    NONE = 0
    UNKNOWN_LINE = 1
    ENDED = 2
    OVER_CAP = 3


class InferenceMarket(PullPayments):
    """Typed access; methods are the contract's, in snake case. Caps are ``Line``s: node and wei."""

    CONTRACT: ClassVar[str] = "InferenceMarket"

    def open(
        self,
        signer: str,
        expiry: int,
        caps: Sequence[Line],
        nonce: bytes,
        note: str = "",
        share: AgreedShare | None = None,
    ) -> tuple[bytes, Mined]:
        """Open a session and lock the sum of the caps; returns its id. ``note`` goes into the journal.

        With ``share`` it is opened for that version, and the share of each cap is locked beside it.
        """
        mined = self._open("open", share, (checksum(signer), expiry, _caps(caps), nonce), caps, note)
        return self._opened(mined), mined

    def encode_open(
        self, signer: str, expiry: int, caps: Sequence[Line], nonce: bytes, share: AgreedShare | None = None
    ) -> bytes:
        """The data of an ``open`` that another account sends, with what its caps and their shares lock as its value."""
        name, first = _opening("open", share)
        return self.encode(name, *first, checksum(signer), expiry, _caps(caps), nonce)

    def pay_per_inference(
        self,
        signer: str,
        expiry: int,
        caps: Sequence[Line],
        nonce: bytes,
        order_digest: bytes,
        note: str = "",
        share: AgreedShare | None = None,
    ) -> tuple[bytes, Mined]:
        """Open and fund a session for one order, whose ``session`` is ``session_id(user, nonce)``; else as ``open``."""
        arguments = (checksum(signer), expiry, _caps(caps), nonce, order_digest)
        mined = self._open("payPerInference", share, arguments, caps, note)
        return self._opened(mined), mined

    def _open(
        self, name: str, share: AgreedShare | None, arguments: tuple[Any, ...], caps: Sequence[Line], note: str
    ) -> Mined:
        name, first = _opening(name, share)
        value = locked_with_share((cap.cumulative for cap in caps), share.basis_points if share else 0)
        return self._send(name, *first, *arguments, value=value, note=note)

    def allot(self, session: bytes, node: str, cap: int) -> Mined:
        """Raise a node's cap to ``cap`` wei, or add the node; sends what is missing, the publisher's share included."""
        standing = self.line_of(session, node).cap
        wish = f"allot {session.hex()} {checksum(node)} {cap}"
        return self._send("allot", session, checksum(node), cap, value=self._missing(session, standing, cap), wish=wish)

    def _missing(self, session: bytes, standing: int, cap: int) -> int:
        if cap <= standing:
            return 0
        rate = self.share_of(session).basis_points
        return cap - standing + publisher_share(cap, rate) - publisher_share(standing, rate)

    def post(self, voucher: Voucher, signature: bytes) -> Mined:
        """Raise the lines that a voucher names; lower or repeated ones change nothing."""
        return self._send("post", (voucher.session, _caps(voucher.lines)), signature)

    def close(self, session: bytes) -> Mined:
        """Start the challenge window of all lines. The user; after the expiry anyone."""
        return self._send("close", session)

    def close_line(self, session: bytes) -> Mined:
        """Start the challenge window of the sender's own line."""
        return self._send("closeLine", session)

    def settle(self, session: bytes, node: str) -> Mined:
        """Pay a line out after its challenge window. Anyone may."""
        return self._send("settle", session, checksum(node))

    def settle_many(self, session: bytes, nodes: Iterable[str]) -> Mined:
        """Settle several lines; those that cannot be settled stay as they are."""
        return self._send("settleMany", session, [checksum(node) for node in nodes])

    def commit_receipts(self, root: bytes, count: int) -> Mined:
        """Commit the sender's receipt log of ``count`` receipts."""
        return self._send("commitReceipts", root, count)

    def session_id(self, user: str, nonce: bytes) -> bytes:
        """The id of the session that ``user`` opens with ``nonce``."""
        return bytes(self._read("sessionId", checksum(user), nonce))

    def session_of(self, session: bytes) -> SessionRecord:
        """Raises ContractRevertedError InferenceMarket_SessionUnknown."""
        return SessionRecord(*self._read("sessionOf", session))

    def line_of(self, session: bytes, node: str) -> LineRecord:
        """A node's line; all zero when there is none."""
        return LineRecord(*self._read("lineOf", session, checksum(node)))

    def share_of(self, session: bytes) -> SessionShare:
        """For which version a session was opened, for which share, and when."""
        try:
            return SessionShare(*self._read("shareOf", session))
        except ContractRevertedError:  # it never refuses: a market that is older than shares
            return NO_SHARE

    def receipt_log_of(self, node: str) -> ReceiptLogRecord:
        return ReceiptLogRecord(*self._read("receiptLogOf", checksum(node)))

    def domain_separator(self) -> bytes:
        return bytes(self._read("domainSeparator"))

    def longest_session(self) -> int:
        """Seconds."""
        return int(self._read("longestSession"))

    def challenge_window(self) -> int:
        """Seconds."""
        return int(self._read("challengeWindow"))

    def disputable_until(self, session: bytes) -> int:
        """Last second in which a game about the session can be opened, closed lines included."""
        found = self.session_of(session)
        return found.end or found.expiry + self.challenge_window()

    def vault(self) -> str:
        return str(self._read("vault"))

    def dispute(self) -> str:
        """The dispute contract; the zero address when this deployment has none."""
        return str(self._read("dispute"))

    def now(self) -> int:
        """The chain's time: timestamp of its latest block."""
        return self.connection.block().timestamp

    def _opened(self, mined: Mined) -> bytes:
        return bytes(self.events_in(mined.receipt, "SessionOpened")[0].arguments["session"])


def _opening(name: str, share: AgreedShare | None) -> tuple[str, tuple[Any, ...]]:
    """The function that opens, and its first arguments."""
    return (name, ()) if share is None else (f"{name}For", (share.model_version, share.basis_points))


def _caps(lines: Iterable[Line]) -> list[tuple[Any, ...]]:
    return [(line.node, line.cumulative) for line in lines]
