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
from collections.abc import Callable
from typing import Protocol

from google.protobuf.message import DecodeError

from node.errors import PortInUseError
from node.proto import shard_pb2 as wire
from node.proto.frames import Frames
from node.tls import TlsIdentity

log = logging.getLogger(__name__)

CONNECTIONS = 256
"""Connections at once; more are closed as they come. Each one has a thread."""
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
    def trusted(self) -> bool:
        """Whether the other side may be quiet for long."""

    def answer(self, call: wire.Call) -> wire.Answer:
        """Answer a call. Never raises."""


class ShardServer:
    """Listens on host:port (0: any free one) from construction on. Raises PortInUseError."""

    def __init__(self, converse: Callable[[], Conversation], tls: TlsIdentity, host: str, port: int) -> None:
        self._converse, self._context = converse, tls.server_context()
        self._lock = threading.Lock()
        self._open: dict[Frames, threading.Thread] = {}
        self._at_work = 0
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
        self._shut(self._listener)
        deadline = time.monotonic() + seconds
        while self._at_work and time.monotonic() < deadline:
            time.sleep(0.01)
        with self._lock:
            left = list(self._open.items())
        for frames, _ in left:
            frames.hang_up()
        for _, thread in left:
            thread.join(max(0.0, deadline - time.monotonic()))

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
                if self._listener.fileno() < 0:
                    return  # stopped
                # Out of descriptors, or the caller is gone already: the node goes on with those it has.
                log.warning("a connection could not be taken (%s)", error)
                time.sleep(0.05)
                continue
            self._begin(raw)

    def _begin(self, raw: socket.socket) -> None:
        try:
            connection = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        except OSError:
            raw.close()  # gone already
            return
        frames = Frames(connection)
        thread = threading.Thread(target=self._serve, args=(connection, frames), name="connection", daemon=True)
        # INVARIANT: strangers cost a bounded number of threads.
        with self._lock:
            room = len(self._open) < CONNECTIONS
            if room:
                self._open[frames] = thread
        if room:
            thread.start()
        else:
            frames.close()

    def _serve(self, connection: ssl.SSLSocket, frames: Frames) -> None:
        """One connection from handshake to end."""
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(FIRST_SECONDS)
            connection.do_handshake()
            self._answer_all(frames)
        except (OSError, EOFError):
            pass  # hung up, late, or not speaking TLS: nothing to tell it
        except Exception:
            log.exception("a connection failed")
        finally:
            with self._lock:
                self._open.pop(frames, None)
            frames.close()

    def _answer_all(self, frames: Frames) -> None:
        conversation = self._converse()
        while True:
            message = frames.receive(IDLE_SECONDS if conversation.trusted else FIRST_SECONDS, FRAME_SECONDS)
            with self._lock:
                self._at_work += 1
            try:
                call = _call(message)
                answer = conversation.answer(call)
                answer.number = call.number
                frames.send(answer.SerializeToString(), FRAME_SECONDS)
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
