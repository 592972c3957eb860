"""Sessions for a program that answers many: opened, topped up, closed and settled in the background.

An answer is started in a session that has money for it; several answers share a session. Before a session is used up
or over, its caps are raised or another one is opened, so that answers find money where they need it. A session that
is of no use any more is closed once its last answer has ended, and settled once its challenge window is over.

What the pool knows is in the client's store, so a program that starts again goes on with the sessions it finds there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from nexus_chain.client.answer import Answer
from nexus_chain.client.answer_stream import AnswerStream
from nexus_chain.client.background import Repeated
from nexus_chain.client.client import Client
from nexus_chain.client.errors import CapTooLowError, SessionStateError
from nexus_chain.client.headroom import wei_to_lock
from nexus_chain.client.network import route_over
from nexus_chain.client.order import ORDER_SECONDS, AskOptions
from nexus_chain.client.purse import AnswerSpending
from nexus_chain.client.request import Prompt
from nexus_chain.client.session import OnFailover, Session
from nexus_chain.client.store import CLOSED, OPEN, SETTLED
from nexus_chain.errors import NexusError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.routing.errors import NoNodeForLayersError, StakeTooSmallError
from nexus_chain.routing.registry_view import ShardNode
from nexus_chain.versions.model_files import ModelFiles

log = logging.getLogger(__name__)

UPKEEP_SECONDS = 2.0
"""How often the pool looks after its sessions when nobody wakes it."""
MONEY_SECONDS = 150.0
"""How long an answer waits for a transaction that locks money."""
PATIENCE = 3
"""How often money is locked anew for one answer before it is told that the caps are too low."""


@dataclass(frozen=True)
class PoolPolicy:
    """How much money is locked, for how long, and for how many answers.

    ``tokens``: positions that a session is opened and topped up for. ``seconds``: life of a session. ``sessions``:
    open at once, at most. ``answers``: at once in a session, at most. ``low``: share of ``tokens`` below which a
    session is renewed. ``renew_seconds``: before its end; a quarter of ``seconds``, if that is less.
    """

    tokens: int = 65_536
    seconds: int = 3_600
    sessions: int = 2
    answers: int = 32
    low: float = 0.25
    renew_seconds: int = ORDER_SECONDS

    @property
    def low_tokens(self) -> int:
        """Positions that there is always money for."""
        return max(1, int(self.low * self.tokens))

    @property
    def last_seconds(self) -> int:
        """A session that lives no longer than this starts no answer."""
        return min(self.renew_seconds, self.seconds // 4)


@dataclass(eq=False)
class PooledSession:
    """A session and what happens in it. ``lent``: answers under way. ``retired``: it starts no other."""

    session: Session
    lent: int = 0
    retired: bool = False


class SessionPool:
    """The sessions of one user for one version. Threads may call all of it at once; ``close`` it in the end."""

    def __init__(
        self,
        client: Client,
        version: bytes,
        files: ModelFiles,
        policy: PoolPolicy | None = None,
        operators: Sequence[str] = (),
    ) -> None:
        """Takes over what it finds in the client's store. ``operators``: the only nodes that may take part.

        Raises the chain package's errors.
        """
        self.client, self.version, self.files = client, version, files
        self.policy, self.operators = policy or PoolPolicy(), tuple(operators)
        self._changed = threading.Condition()
        self._keeping = threading.Lock()  # held by the one thread that looks after the sessions
        self._sessions: list[PooledSession] = []
        self._ended: list[Session] = []  # closed or expired, and not known to be settled
        self._settle_after: dict[bytes, int] = {}  # when the challenge windows of those end, chain time
        self._renewals = 0  # times that money was locked
        self._begun = 0  # answers that were started
        self._in_use = False  # whether anybody asked since then
        self._wanted = 0  # most positions that somebody waits for
        self._failure: Exception | None = None  # why money could not be locked
        self._closed = False
        self._adopt()
        self._upkeep = Repeated("nexus-pool", self.maintain, lambda: UPKEEP_SECONDS)
        self._upkeep.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ asking

    def ask(
        self,
        prompt: str | Sequence[int],
        options: AskOptions | None = None,
        on_failover: OnFailover = lambda event: None,
    ) -> PooledAnswer:
        """An answer to a text or to token ids, in whichever session has money for it; see ``PooledAnswer``."""
        return PooledAnswer(self, prompt, options or AskOptions(), on_failover)

    def start(
        self,
        prompt: str | Sequence[int],
        options: AskOptions,
        on_failover: OnFailover,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> tuple[PooledSession, AnswerStream] | None:
        """Start an answer; waits until a session has money for it. Give the session back by ``release``.

        None once it is not wanted any more: ``nudge`` has those who wait look. Raises as ``Session.start``, and what
        keeps money from being locked.
        """
        options = options.for_model(self.files.program)
        needed = len(Prompt.of(prompt, self.files, options).tokens) + options.max_tokens
        tries, begun, self._in_use = 0, self._begun, True
        while is_wanted():
            seen = self._renewals
            for pooled in self._lendable():
                if (stream := self._started(pooled, prompt, options, on_failover)) is not None:
                    return pooled, stream
            if begun != self._begun:  # others took the money: there may be more for this one
                tries, begun = 0, self._begun
            if self._await_place(is_wanted):
                continue
            if tries == PATIENCE:
                raise CapTooLowError(
                    f"no session has money for {needed} positions at nodes that answer",
                    advice="Ask for fewer tokens, or give the pool's policy more.",
                )
            self._await_money(needed, seen, is_wanted)
            tries += 1
        return None

    def nudge(self) -> None:
        """Have every answer that waits for a session look whether it is still wanted."""
        with self._changed:
            self._changed.notify_all()

    def release(self, pooled: PooledSession) -> None:
        """An answer that was started in the session has ended."""
        with self._changed:
            pooled.lent -= 1
            self._changed.notify_all()
        if pooled.retired:
            self._upkeep.wake()

    def _lendable(self) -> list[PooledSession]:
        """Sessions that may start an answer, those with most answers first: fewer are in use at the end of each."""
        with self._changed:
            if self._closed:
                raise SessionStateError("the pool of sessions is closed", advice="Connect again.")
            fit = [one for one in self._sessions if not one.retired and one.lent < self.policy.answers]
            return sorted(fit, key=lambda one: -one.lent)

    def _started(
        self, pooled: PooledSession, prompt: str | Sequence[int], options: AskOptions, on_failover: OnFailover
    ) -> AnswerStream | None:
        """An answer in the session; None where it has too little money, or cannot be asked in any more."""
        with self._changed:
            if pooled.retired or pooled.lent >= self.policy.answers:
                return None
            pooled.lent += 1
        stream = None
        try:
            stream = pooled.session.start(prompt, options, on_failover)
            with self._changed:
                self._begun += 1
            return stream
        except CapTooLowError:
            return None
        except SessionStateError as error:
            self.give_up(pooled, error)
            return None
        finally:
            if stream is None:
                with self._changed:
                    pooled.lent -= 1

    def give_up(self, pooled: PooledSession, reason: NexusError) -> None:
        """Start no other answer in a session; nor close it while it is open, as another program may be using it."""
        log.warning("Session 0x%s is not used any more: %s", pooled.session.id.hex(), reason)
        with self._changed:
            if pooled in self._sessions:
                self._sessions.remove(pooled)
                if pooled.session.record.state == CLOSED:
                    self._ended.append(pooled.session)

    def _await_money(self, positions: int, seen: int, is_wanted: Callable[[], bool]) -> None:
        """Wait until money was locked since ``seen`` renewals. Raises what keeps it from that."""
        with self._changed:
            self._wanted, self._failure, self._in_use = max(self._wanted, positions), None, True
            self._upkeep.wake()
            self._changed.wait_for(
                lambda: self._renewals != seen or self._failure or self._closed or not is_wanted(), MONEY_SECONDS
            )
            if self._failure is not None:
                raise self._failure

    def _await_place(self, is_wanted: Callable[[], bool]) -> bool:
        """Wait for an answer to end where as many are under way as the policy allows; whether that was so."""
        with self._changed:
            active = [one for one in self._sessions if not one.retired]
            if len(active) < self.policy.sessions or any(one.lent < self.policy.answers for one in active):
                return False
            self._changed.wait_for(
                lambda: self._closed or not is_wanted() or any(one.lent < self.policy.answers for one in active)
            )
            return True

    # ------------------------------------------------------------------ upkeep

    def maintain(self) -> None:
        """Do all that is due now: retire, renew, close, settle. Never raises; a waiting answer is told why not."""
        with self._keeping:
            for work in (self._retire, self._renew, self._close_retired, self._settle_ended):
                try:
                    work()
                except Exception as error:
                    known = isinstance(error, NexusError)
                    log.warning("Sessions could not be looked after: %s", error, exc_info=not known)
                    if work == self._renew:
                        self._tell_failure(error)

    def prepare(self) -> None:
        """Have a session with money now, before anybody asks. Raises what keeps it from that."""
        with self._keeping:
            self._retire()
            if not self._has_money(self.policy.low_tokens):
                self._lock_money(self.policy.low_tokens)

    def close(self, *, end_sessions: bool = False) -> None:
        """Look after the sessions no more. They stay open for the next program, unless ``end_sessions``.

        Then each is closed; its money comes back once somebody settled it, as a pool does when it is made.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._upkeep.stop()
        if end_sessions:
            with self._keeping:
                for pooled in self._active():
                    self._retire_one(pooled)
                self._close_retired()

    @property
    def sessions(self) -> list[Session]:
        """Those in which answers may be started."""
        return [pooled.session for pooled in self._active()]

    def _active(self) -> list[PooledSession]:
        """Sessions that are not retired, oldest first."""
        with self._changed:
            return [pooled for pooled in self._sessions if not pooled.retired]

    def _retire_one(self, pooled: PooledSession) -> None:
        with self._changed:
            pooled.retired = True

    def _adopt(self) -> None:
        """Take over the sessions of this version in the store: open ones to go on with, closed ones to settle."""
        domain = self.client.contracts.domain
        for record in self.client.store.sessions():
            mine = (record.chain_id, record.market) == (domain.chain_id, domain.verifying_contract)
            if not mine or record.direct or record.model_version != self.version or record.state == SETTLED:
                continue
            session = self.client.session(record.id, self.files)
            if session.record.state == OPEN and self.client.store.operators(record.id) == tuple(sorted(self.operators)):
                self._sessions.append(PooledSession(session))
            elif session.record.state == CLOSED:
                self._ended.append(session)

    def _retire(self) -> None:
        """Start no answers in sessions that are over soon, or that somebody else closed."""
        now = self.client.user.nodes.now()
        for pooled in self._active():
            record = pooled.session.record
            if record.expiry - now <= self.policy.last_seconds or record.state != OPEN:
                self._retire_one(pooled)

    def _renew(self) -> None:
        """Lock money where somebody waits for it, or where a session is used up but for the policy's share."""
        with self._changed:
            wanted, self._wanted = self._wanted, 0
        needed = max(wanted, self.policy.low_tokens)
        if self._in_use and (not self._has_money(needed) or self._is_full()):
            self._lock_money(needed)
        elif wanted:
            self._tell_renewed()

    def _is_full(self) -> bool:
        """Whether as many answers are under way as the sessions take, and another session may be opened."""
        active = self._active()
        return len(active) < self.policy.sessions and all(one.lent >= self.policy.answers for one in active)

    def _lock_money(self, positions: int) -> None:
        """Top a session up that lives long enough, else open another."""
        tokens, self._in_use = max(self.policy.tokens, positions), False
        if self._found_lost(positions):
            pass
        elif not self._topped_up(tokens):
            self._make_place()
            session, _ = self.client.open_session(
                self.version, self.files, tokens=tokens, seconds=self.policy.seconds, operators=self.operators
            )
            with self._changed:
                self._sessions.append(PooledSession(session))
        self._tell_renewed()

    def _found_lost(self, positions: int) -> bool:
        """Take over sessions that were paid for without an answer; whether there is money for ``positions`` now."""
        found = False
        for session, _ in self.client.lost_sessions(self.version, self.files, self.operators):
            found = True
            with self._changed:
                if all(one.session.id != session.id for one in self._sessions):
                    self._sessions.append(PooledSession(session))
        return found and self._has_money(positions)

    def _tell_failure(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def _tell_renewed(self) -> None:
        with self._changed:
            self._renewals += 1
            self._changed.notify_all()

    def _make_place(self) -> None:
        """Retire the oldest session where there are as many as the policy allows."""
        active = self._active()
        if len(active) >= self.policy.sessions:
            self._retire_one(active[0])

    def _topped_up(self, tokens: int) -> bool:
        """Raise the caps of a session whose nodes still serve, and that is not in the second half of its life."""
        now = self.client.user.nodes.now()
        for pooled in reversed(self._active()):
            session = pooled.session
            young = session.record.expiry - now > max(self.policy.seconds // 2, self.policy.last_seconds)
            if not young or pooled.lent >= self.policy.answers:
                continue
            try:
                route = route_over(self._nodes(), self.files.program, list(self.client.store.lines(session.id)))
                for candidates, ask in zip(route.segments, route.asks, strict=True):
                    session.money.raise_cap(candidates[0].address, wei_to_lock(ask.wei_per_token, tokens))
                return True
            except (NoNodeForLayersError, StakeTooSmallError):
                continue
        return False

    def _close_retired(self) -> None:
        with self._changed:
            idle = [pooled for pooled in self._sessions if pooled.retired and not pooled.lent]
        for pooled in idle:
            if self._is_ended(pooled.session):
                with self._changed:
                    self._sessions = [other for other in self._sessions if other is not pooled]
                    self._ended.append(pooled.session)

    def _is_ended(self, session: Session) -> bool:
        """Close a session where nobody did; whether it is closed now: not while another program asks in it."""
        if session.refresh().record.state == OPEN:
            try:
                # INVARIANT: a session is closed by who holds its lock: nobody's answer is cut off.
                with session.lock.hold():
                    session.close()
            except SessionStateError:
                return False
        return True

    def _settle_ended(self) -> None:
        """Settle what can be settled by now; the others' time will come."""
        for session in list(self._ended):
            if self.client.user.nodes.now() <= self._window_end(session):
                continue
            with suppress(SessionStateError):  # the chain's clock is behind what is known of it
                session.settle()
            if session.record.state == SETTLED:
                self._ended.remove(session)

    def _window_end(self, session: Session) -> int:
        """When a session's challenge window is over; one that only expired is closed first, as anybody may."""
        if session.id not in self._settle_after:
            market = self.client.contracts.market
            if not market.session_of(session.id).end:
                session.close()
            self._settle_after[session.id] = market.session_of(session.id).end
        return self._settle_after[session.id]

    # ------------------------------------------------------------------- money

    def _has_money(self, positions: int) -> bool:
        return any(self._has_room(one.session, positions) for one in self._active())

    def _has_room(self, session: Session, positions: int) -> bool:
        """Whether nodes that answer could serve an answer of so many positions, beside those that are under way."""
        nodes, lines = self._nodes(), self.client.store.lines(session.id)
        able = [
            node.node_id
            for node in nodes
            if node.node_id in lines and not session.money.purse.shortfall(node.node_id, node.wei_per_token * positions)
        ]
        try:
            route_over(nodes, self.files.program, able)
        except NoNodeForLayersError:
            return False
        return True

    def _nodes(self) -> list[ShardNode]:
        return self.client.user.nodes.candidates(self.version, self.operators)


class PooledAnswer:
    """One answer: iterate for text, then take its ``result``. Nothing is signed before the first step.

    Where the session turns out to have too little money before anything was shown, another is tried.
    """

    def __init__(
        self, pool: SessionPool, prompt: str | Sequence[int], options: AskOptions, on_failover: OnFailover
    ) -> None:
        self._pool, self._prompt, self._options, self._on_failover = pool, prompt, options, on_failover
        self._stream: AnswerStream | None = None
        self._streams: list[AnswerStream] = []
        self._lock = threading.Lock()
        self._cancelled = False

    def __iter__(self) -> Iterator[str]:
        shown = False
        for _ in range(PATIENCE):
            started = self._pool.start(self._prompt, self._options, self._on_failover, lambda: not self._cancelled)
            if started is None:
                return
            pooled, stream = started
            try:
                self._follow(stream)
                with stream:
                    for piece in stream:
                        shown = True
                        yield piece
                return
            except CapTooLowError:
                if shown:
                    raise
            except SessionStateError as error:
                if shown:
                    raise
                self._pool.give_up(pooled, error)
            finally:
                self._pool.release(pooled)
        raise CapTooLowError(
            "other answers took the money of every session before this one began",
            advice="Ask again, or give the pool's policy more tokens.",
        )

    def cancel(self) -> None:
        """End the answer at its next step, from any thread; what was computed is receipted and kept."""
        with self._lock:
            self._cancelled = True
            if self._stream is not None:
                self._stream.cancel()
        self._pool.nudge()

    def result(self) -> Answer:
        """The finished answer. Raises SessionStateError before the iteration has ended."""
        if self._stream is None:
            raise SessionStateError("the answer has not begun", advice="Iterate over it first.")
        return self._stream.answer

    @property
    def spending(self) -> tuple[AnswerSpending, ...]:
        """What it took of each session that it was tried in; final once the iteration has ended."""
        return tuple(one for stream in self._streams for one in stream.spending)

    @property
    def failed_proof(self) -> InferenceProof | None:
        """What nodes signed of it, where it failed and any did."""
        return None if self._stream is None else self._stream.failed_proof

    def _follow(self, stream: AnswerStream) -> None:
        with self._lock:
            self._stream = stream
            self._streams.append(stream)
            if self._cancelled:
                stream.cancel()
