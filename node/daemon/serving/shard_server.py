"""The listening port: TLS connections in, one thread each, a call answered at a time.

Knows frames and time limits, not what a call means: that is a ``Conversation``.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from google.protobuf.message import DecodeError

from nexus_chain.wire import shard_pb2 as wire
from nexus_chain.wire.frames import Frames
from node.daemon.errors import PortInUseError
from node.daemon.serving.processors import is_neighbour, make_way
from node.daemon.tls import TlsIdentity

log = logging.getLogger(__name__)

CONNECTIONS = 256
"""Connections at once, each with a thread. Where there are more, the stranger that came first makes room, else the
first connection of a session that has more than PLACES; where there is neither, they are closed as they come."""
PLACES = 8
"""Connections of one session that do not have to make room for others. The client here uses one."""
FIRST_SECONDS = 20.0
"""What a stranger gets for its handshake, and to send its next call."""
IDLE_SECONDS = 300.0
"""How long a connection may say nothing once the session's owner showed itself."""
FRAME_SECONDS = 60.0
"""From a message's first byte to its last, either way."""
_BACKLOG = 128


class Conversation(Protocol):
    """One connection's calls, in order."""

    @property
    def session(self) -> bytes | None:
        """The session whose owner is on the other side, who may be quiet for long; None for a stranger."""

    def answer(self, call: wire.Call) -> wire.Answer:
        """Answer a call. Never raises."""

    def afterwards(self) -> None:
        """Do what could wait until the last answer was on its way. Never raises."""


@dataclass
class _Connection:
    """One that is open. ``neighbour``: with this machine itself; ``leaving``: it was hung up on to make room."""

    socket: ssl.SSLSocket
    frames: Frames
    conversation: Conversation
    neighbour: bool = False
    leaving: bool = False
    thread: threading.Thread = field(init=False)


class ShardServer:
    """Listens on host:port (0: any free one) from construction on. Raises PortInUseError."""

    def __init__(self, converse: Callable[[], Conversation], tls: TlsIdentity, host: str, port: int) -> None:
        self._converse, self._context = converse, tls.server_context()
        self._lock = threading.Lock()
        self._open: dict[Frames, _Connection] = {}  # in the order in which they came
        self._at_work = 0
        self._stopping = False
        try:
            self._listener = _listen(host, port)
        except OSError as error:
            raise PortInUseError(
                f"cannot listen on {host}:{port} ({error.strerror or error})",
                advice="Stop what listens there, or choose another --listen address.",
            ) from error
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def stop(self, seconds: float) -> None:
        """Take no connection any more, wait up to ``seconds`` for calls under way, then end all."""
        with self._lock:
            self._stopping = True
        self._shut(self._listener)
        deadline = time.monotonic() + seconds
        while self._at_work and time.monotonic() < deadline:
            time.sleep(0.01)
        with self._lock:
            left = list(self._open.values())
            for one in left:
                one.frames.hang_up()
        for one in left:
            one.thread.join(max(0.0, deadline - time.monotonic()))

    @staticmethod
    def _shut(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes ``accept``
        listener.close()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError as error:
                if self._stopping:
                    return
                # Out of descriptors, or the caller is gone already: the node goes on with those it has.
                log.warning("a connection could not be taken (%s)", error)
                time.sleep(0.05)
                continue
            try:
                self._begin(raw)
            except Exception:
                # Whatever a stranger brought about: the port stays open.
                log.exception("a connection could not be begun")
                raw.close()

    def _begin(self, raw: socket.socket) -> None:
        try:
            connection = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        except OSError:
            raw.close()  # gone already
            return
        one = _Connection(connection, Frames(connection), self._converse())
        one.thread = threading.Thread(target=self._serve, args=(one,), name="connection", daemon=True)
        with self._lock:
            begun = self._make_room() and self._started(one)
        if not begun:
            one.frames.close()

    def _make_room(self) -> bool:
        """Whether there is a place for one more connection. With the lock held."""
        if self._stopping or len(self._open) < CONNECTIONS:
            return not self._stopping
        # INVARIANT: strangers cost a bounded number of threads, also those that have not noticed yet that they leave.
        if len(self._open) >= 2 * CONNECTIONS:
            return False
        one = self._least_entitled()
        if one is None:
            return False
        one.leaving = True
        one.frames.hang_up()
        return True

    def _least_entitled(self) -> _Connection | None:
        """INVARIANT: neither who showed nothing nor one session can keep out others, whatever it says."""
        staying = [(one, one.conversation.session) for one in self._open.values() if not one.leaving]
        places = Counter(session for _, session in staying)
        strangers = (one for one, session in staying if session is None)
        crowding = (one for one, session in staying if session is not None and places[session] > PLACES)
        return next(strangers, None) or next(crowding, None)

    def _started(self, one: _Connection) -> bool:
        """Start a connection's thread; False where the system gives none. With the lock held."""
        self._open[one.frames] = one
        try:
            one.thread.start()
        except RuntimeError as error:
            del self._open[one.frames]
            log.warning("a connection could not be taken (%s)", error)
            return False
        return True

    def _serve(self, one: _Connection) -> None:
        """One connection from handshake to end."""
        try:
            one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.socket.settimeout(FIRST_SECONDS)
            one.socket.do_handshake()
            one.neighbour = is_neighbour(one.socket)
            while True:
                self._answer_next(one)
        except (OSError, EOFError):
            pass  # hung up, late, or not speaking TLS: nothing to tell it
        except Exception:
            log.exception("a connection failed")
        finally:
            with self._lock:
                self._open.pop(one.frames, None)
            one.frames.close()

    def _answer_next(self, one: _Connection) -> None:
        """One call. A message may take thirty times its length once it is read: nothing of it stays for the next."""
        owner = one.conversation.session is not None
        # In the middle of an answer the next call comes soon, so this thread looks for it before it sleeps. It does not
        # look while other threads work on calls: they need the processor.
        soon = owner and not self._at_work
        message = one.frames.receive(IDLE_SECONDS if owner else FIRST_SECONDS, FRAME_SECONDS, soon=soon)
        if soon and one.neighbour:
            make_way(one.socket)
        with self._lock:
            self._at_work += 1
        try:
            call = _call(message)
            answer = one.conversation.answer(call)
            answer.number = call.number
            one.frames.send(answer.SerializeToString(), FRAME_SECONDS)
            one.conversation.afterwards()
        finally:
            with self._lock:
                self._at_work -= 1


def _call(message: bytes) -> wire.Call:
    """Raises ConnectionError: with somebody who speaks another protocol there is nothing to talk about."""
    try:
        return wire.Call.FromString(message)
    except DecodeError as error:
        raise ConnectionError("a message that is no Call") from error


def _listen(host: str, port: int) -> socket.socket:
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    return socket.create_server((name, port), family=family, backlog=_BACKLOG)
