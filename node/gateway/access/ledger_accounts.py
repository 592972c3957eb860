"""The real ``Accounts``: callers by key or session, their credit in the ledger.

The database is asked on threads of its own, so nothing waits for it on the event loop. A bill that cannot be written
down, because the database is gone, is kept and written later: nothing is lost as long as the gateway lives.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from sqlalchemy import Connection

from node.gateway.access.api_keys import caller_of_key
from node.gateway.access.key_proofs import KeyProofs
from node.gateway.access.sign_in import caller_of_session
from node.gateway.access.tokens import SESSION_PREFIX, token_digest
from node.gateway.access.x402_payments import X402Payments, offered_by
from node.gateway.accounts import ANSWER, OPEN_ANSWERS, PAY, Bill, Caller, PaidEvidence, SentProof
from node.gateway.errors import LimitReachedError, PaymentRequiredError, UnauthorizedError, UnavailableError
from node.gateway.ledger.database import Database
from node.gateway.ledger.reservations import (
    WantedCredit,
    extend,
    overdue,
    release,
    release_overdue,
    reserve,
    settle,
)

log = logging.getLogger(__name__)

Found = TypeVar("Found")

RESERVED_SECONDS = 900.0
"""After this a reservation of a gateway that died is released; a living one moves its deadlines on."""
PLACE_SECONDS = 1.0
"""After which a caller with too many answers under way may try again."""
KNOWN_SECONDS = 1.0
"""How long a key that was found is not looked up again. One that another gateway on the database revoked opens so long;
one that this gateway revoked, no more."""
KNOWN_CALLERS = 1_000
ENDS_WAITED_FOR = 8
"""How often an account waits for its ended answers before it is refused: another request may take what came free."""
LINGER_SECONDS = 0.01
"""How long an answer's end waits before it is written down."""
_THREADS = 4


def unknown_key_error() -> UnauthorizedError:
    """For a secret that opens nothing."""
    return UnauthorizedError("nobody has this API key", advice="Check it: it begins with sk-nexus-.")


@dataclass(frozen=True)
class AnswerEnd:
    """How a reservation is closed: by paying ``bill``, and keeping its evidence; or, for None, by giving it back."""

    bill: Bill | None = None
    evidence: PaidEvidence | None = None

    def write(self, connection: Connection, answer: str) -> bool:
        """INVARIANT: nothing is paid without its evidence: both are written, or neither.

        False where the reservation was closed before, or never made.
        """
        if self.evidence is not None:
            self.evidence.add(connection)
        return release(connection, answer) if self.bill is None else settle(connection, answer, self.bill)


class LedgerReservation:
    """Credit in the ledger that is kept for one answer."""

    def __init__(self, accounts: LedgerAccounts, answer: str) -> None:
        self._accounts, self._answer = accounts, answer

    async def settle(self, bill: Bill, evidence: PaidEvidence | None = None) -> None:
        """Pay ``bill`` of it. Raises nothing: where the database is gone, it is written later, with its evidence."""
        await self._accounts.close_reservation(self._answer, AnswerEnd(bill, evidence))

    async def release(self) -> None:
        """Free all of it. Raises nothing, as ``settle``."""
        await self._accounts.close_reservation(self._answer, AnswerEnd())


class LedgerAccounts:
    """``Accounts`` over a database. One for a gateway; ``close`` it in the end.

    Requests a minute are counted in this process: several gateways on one database each allow a key its number. Wei a
    day are counted in the ledger, exactly, over all of them.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        payments: X402Payments | None = None,
        open_answers: int = OPEN_ANSWERS,
    ) -> None:
        """``clock``: Unix seconds. ``payments``: takes those that come with a request; None: none are taken.

        ``open_answers``: that one account may have under way here, over all of its keys.
        """
        self.database, self.clock, self.payments, self.open_answers = database, clock, payments, open_answers
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="nexus-ledger")
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._proofs = KeyProofs(clock)
        self._known_callers: dict[bytes, tuple[float, Caller]] = {}  # and when they were asked for, by keys' digests
        self._open: dict[str, str] = {}  # accounts by answer
        self._ends: dict[asyncio.Future[None], str] = {}  # ends that are being written; their accounts
        self._unwritten: dict[str, AnswerEnd] = {}  # answers whose end the database does not know yet

    async def authenticate(self, token: str | None, proof: SentProof | None = None) -> Caller:
        """Who presents ``token``.

        Raises UnauthorizedError, also where the token's session is bound to a key and ``proof`` does not show it;
        LimitReachedError above the key's requests a minute.
        """
        if token is None:
            raise UnauthorizedError(
                "this needs an API key", advice="Send it as Authorization: Bearer sk-nexus-..., or sign in."
            )
        digest = token_digest(token)
        if digest is None:
            raise unknown_key_error()
        seen, caller = self._known_callers.get(digest, (-KNOWN_SECONDS, None))
        is_old = time.monotonic() - seen >= KNOWN_SECONDS
        if caller is None or is_old or (caller.expires is not None and caller.expires <= self.clock()):
            caller = await self._look_up(token, digest)
        if caller.thumbprint is not None:
            # INVARIANT: whoever has the token of a session with a key, and not the key, gets nothing.
            self._proofs.require(proof, token, caller.thumbprint)
        await self._count_request(caller)
        return caller

    async def _look_up(self, token: str, digest: bytes) -> Caller:
        """Ask the database, and remember a key's caller for a moment."""
        known, asked = self._known_callers, time.monotonic()
        caller = await self.ask(partial(self._caller, token))
        if len(known) >= KNOWN_CALLERS:
            known.clear()
        if caller.key is not None:
            known[digest] = asked, caller  # not what is known by now: a change in between has thrown these away
        return caller

    def _caller(self, token: str) -> Caller:
        find = caller_of_session if token.startswith(SESSION_PREFIX) else caller_of_key
        caller = self.database.read(lambda connection: find(connection, token, self.clock()))
        if caller is None:
            raise unknown_key_error()
        return caller

    async def _count_request(self, caller: Caller) -> None:
        if caller.requests_per_minute is None or caller.key is None:
            return
        limit = RateLimitItemPerMinute(caller.requests_per_minute)
        if caller.requests_per_minute > 0 and await self._limiter.hit(limit, caller.key):
            return
        reset, _ = await self._limiter.get_window_stats(limit, caller.key)
        raise LimitReachedError(
            f"the key may make {caller.requests_per_minute} requests a minute",
            advice="Wait, or use a key that may make more.",
            retry_after=min(60.0, max(1.0, reset - time.time())),
        )

    async def reserve(self, caller: Caller, answer: str, wei: int) -> LedgerReservation:
        """Keep ``wei`` for the answer of that id. Raises PaymentRequiredError, LimitReachedError, ForbiddenError."""
        if caller.payment is None:
            caller.require(ANSWER)
        else:
            caller.require(PAY)
            if self.payments is None:
                raise UnauthorizedError("this gateway takes no payments with requests", advice="Use an API key.")
            await self.settled(caller.account)
            self._require_place(caller.account)  # first: nobody pays for what is refused
            await self.payments.take(caller.payment, wei)
        wanted = WantedCredit(caller.account, answer, wei, caller.key or "", caller.wei_per_day)
        for _ in range(ENDS_WAITED_FOR):
            try:
                return await self._kept(wanted)
            except (LimitReachedError, PaymentRequiredError):
                if not await self.settled(caller.account):
                    raise
        return await self._kept(wanted)

    async def settled(self, account: str) -> bool:
        """Wait until the account's answers that have ended are booked; whether there were any that were not."""
        ends = [end for end, of in self._ends.items() if of == account]
        if ends:
            await asyncio.wait(ends)
        return bool(ends)

    async def _kept(self, wanted: WantedCredit) -> LedgerReservation:
        answer = wanted.answer
        self._require_place(wanted.account)
        self._open[answer] = wanted.account
        try:
            begun = self._threads.submit(self._reserve, wanted)
        except RuntimeError:  # closed
            del self._open[answer]
            raise
        try:
            await asyncio.shield(asyncio.wrap_future(begun))
        except asyncio.CancelledError:
            # The caller left while it was being written: whatever was kept is given back.
            begun.add_done_callback(partial(self._abandon, answer))
            raise
        return LedgerReservation(self, answer)

    def _require_place(self, account: str) -> None:
        """INVARIANT: one account takes no more places than its own, so it cannot keep all others waiting."""
        if list(self._open.values()).count(account) < self.open_answers:
            return
        raise LimitReachedError(
            f"the account has {self.open_answers} answers under way, and may have no more at once",
            advice="Wait until one of them has ended.",
            retry_after=PLACE_SECONDS,
        )

    def _reserve(self, wanted: WantedCredit) -> None:
        now = self.clock()
        try:
            # Not durable: a power cut that undoes a reservation ends its answer, too. Bills are durable.
            self.database.write(
                lambda connection: reserve(connection, wanted, now, now + RESERVED_SECONDS), durable=False
            )
        except BaseException as error:
            self._open.pop(wanted.answer, None)
            if isinstance(error, UnavailableError):
                self._unwritten[wanted.answer] = AnswerEnd()  # it may have been kept all the same
            raise

    def _abandon(self, answer: str, done: Future[None]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._unwritten[answer] = AnswerEnd()
            with suppress(RuntimeError):  # ``close`` writes what is left
                self._threads.submit(self._write_end, answer)

    async def close_reservation(self, answer: str, end: AnswerEnd) -> None:
        """Settle or release; the first of several ends of an answer counts."""
        if answer not in self._open or answer in self._unwritten:
            return
        self._unwritten[answer] = end
        # Shielded: money is booked, also when whoever waits for it is cancelled.
        writing = asyncio.ensure_future(self._end_later(answer))
        self._ends[writing] = self._open[answer]
        writing.add_done_callback(self._ends.pop)
        await asyncio.shield(writing)

    async def _end_later(self, answer: str) -> None:
        """The caller has the answer, and may ask the next thing: that goes first, as nobody waits for this."""
        await asyncio.sleep(LINGER_SECONDS)
        await self.ask(partial(self._write_end, answer))

    def _write_end(self, answer: str) -> None:
        """Write an end down; it stays in ``_unwritten`` where that fails."""
        end = self._unwritten.get(answer) or AnswerEnd()
        try:
            written = self.database.write(partial(end.write, answer=answer))
        except UnavailableError:
            log.warning("the end of an answer is kept until the database answers", extra={"answer": answer})
            return
        if end.bill is not None and not written and answer in self._open:
            log.error("an answer was served and its reservation was gone", extra={"answer": answer})
        self._open.pop(answer, None)
        self._unwritten.pop(answer, None)

    def keep_up(self) -> list[str]:
        """What is due now and then: late ends, deadlines of living answers, reservations of gateways that died.

        Returns the answers whose reservations were released. Raises UnavailableError.
        """
        for answer in list(self._unwritten):
            try:
                self._write_end(answer)
            except Exception:  # it keeps no other answer's credit from being extended
                log.exception("the end of an answer cannot be written", extra={"answer": answer})
        now = self.clock()
        if living := list(self._open):
            self.database.write(lambda connection: extend(connection, living, now + RESERVED_SECONDS))
        due = self.database.read(lambda connection: overdue(connection, now))
        return [one for one in due if self.database.write(partial(release_overdue, answer=one, now=now))]

    async def ask(self, work: Callable[[], Found]) -> Found:
        """Run ``work``, which waits for the database, on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def write(self, work: Callable[[Connection], Found]) -> Found:
        """A transaction of the database, on a thread. Raises UnavailableError and what ``work`` raises."""
        return await self.ask(partial(self._written, work))

    def _written(self, work: Callable[[Connection], Found]) -> Found:
        """INVARIANT: a key that was revoked is known no more once that is written, whoever waits for it or does not."""
        try:
            return self.database.write(work)
        finally:
            self._known_callers = {}

    async def read(self, work: Callable[[Connection], Found]) -> Found:
        """As ``write``, for what writes nothing."""
        return await self.ask(partial(self.database.read, work))

    def offer_of(self, sent: str, resource: str) -> Caller | None:
        """A caller without a key, by the payment that it sends with the request; None where none are taken.

        ``sent``: the payment header, empty where there is none. Raises InvalidRequestError.
        """
        return None if self.payments is None else offered_by(self.payments, sent, resource)

    def close(self) -> None:
        """Write down what is left and end the threads; the database stays open."""
        self._threads.shutdown()
        for answer in list(self._unwritten):
            self._write_end(answer)
        if self._unwritten:
            log.error("%d answers ended without the database: their credit is released", len(self._unwritten))
