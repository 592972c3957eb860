"""Whole messages over one connected socket: a length of four bytes, big endian, then the message.

Why not gRPC: one exchange through Python's gRPC takes 270 microseconds on the machine where a frame over
TLS takes 30, and an answer of a small model is hundreds of exchanges. Both ends of ``shard.proto`` use it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import time

LARGEST_FRAME = 4 << 20
"""Bytes of a message at most. Anybody may send one, before any payment and on every connection at once."""
LOOK_SECONDS = 0.003
"""How long a reader looks for a message that it expects soon, before it sleeps. The other nodes of an answer take less
than this for a small model's layers. To wake a sleeping thread takes about as long as one of these layers."""
VAIN_LOOKS = 4
"""Looks in vain, one after the other, after which a reader sleeps at once: a node that computes for many, or a large
model, answers later than anybody should keep a processor."""
LOOK_AGAIN = 16
"""Then it looks once in so many messages, in case answers come sooner again."""
_LENGTH = struct.Struct(">I")
_READ_BYTES = 1 << 16


class FrameTooLongError(ConnectionError):
    """Raised for a message beyond LARGEST_FRAME, which is not read."""


class Frames:
    """One end of a connection. One thread at a time sends and receives; any thread may hang up."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._look = 0.0
        self._vain = 0  # messages since one came while it was looked for
        self._held = bytearray()

    def send(self, message: bytes, seconds: float) -> None:
        """Raises TimeoutError when the other side does not take it in time, OSError when it is gone.

        What is interrupted is the connection's end: a message after half of one would be taken for its rest.
        """
        if len(message) > LARGEST_FRAME:
            raise FrameTooLongError(f"a message of {len(message)} bytes, more than {LARGEST_FRAME}")
        self._socket.settimeout(seconds)
        try:
            self._socket.sendall(_LENGTH.pack(len(message)) + message)
        except BaseException:
            self.hang_up()
            raise

    def receive(self, first: float, whole: float, *, soon: bool = False) -> bytes:
        """The next message: at most ``first`` seconds until it begins and ``whole`` from there to its end.

        Where it is expected ``soon``, and there is another processor to work on, it is looked for before sleeping, as
        long as looking helps.
        Raises TimeoutError, EOFError when the other side hung up before it began, FrameTooLongError,
        OSError for a connection that breaks.
        """
        self._look = LOOK_SECONDS if soon and (os.cpu_count() or 1) > 1 and self._may_look() else 0.0
        if not self._held and not self._read(first):
            raise EOFError("the other side hung up")
        # INVARIANT: a message is looked for once, however slowly it comes: nobody buys a processor with single bytes.
        self._look = 0.0
        deadline = time.monotonic() + whole
        self._fill(_LENGTH.size, deadline)
        (size,) = _LENGTH.unpack_from(self._held)
        if size > LARGEST_FRAME:
            raise FrameTooLongError(f"a message of {size} bytes, more than {LARGEST_FRAME}")
        end = _LENGTH.size + size
        self._fill(end, deadline)
        message = bytes(memoryview(self._held)[_LENGTH.size : end])
        del self._held[:end]
        return message

    def _fill(self, size: int, deadline: float) -> None:
        while len(self._held) < size:
            if not self._read(deadline - time.monotonic()):
                raise ConnectionError("the other side hung up in the middle of a message")

    def _read(self, seconds: float) -> bool:
        """Take what is there, waiting for something; False when the other side hung up."""
        if seconds <= 0:
            raise TimeoutError("the message is late")
        data = self._looked_for(min(self._look, seconds)) if self._look else None
        if data is None:
            self._socket.settimeout(seconds)
            data = self._socket.recv(_READ_BYTES)
        self._held += data
        return bool(data)

    def _may_look(self) -> bool:
        self._vain = 0 if self._held else self._vain + 1  # until it comes
        return self._vain <= VAIN_LOOKS or self._vain % LOOK_AGAIN == 0

    def _looked_for(self, seconds: float) -> bytes | None:
        """What comes within ``seconds``, without sleeping; None when nothing does."""
        self._socket.settimeout(0)
        # Asking the system first is a tenth of an attempt to read, and others on this processor wait while it lasts.
        arrivals = select.poll()
        arrivals.register(self._socket, select.POLLIN)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if arrivals.poll(0):
                self._vain = 0
                return self._arrived()
            os.sched_yield()  # the other side may be waiting for this very processor
        return None

    def _arrived(self) -> bytes | None:
        """What came; None where it is not enough to be read yet."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            return self._socket.recv(_READ_BYTES)
        return None

    def hang_up(self) -> None:
        """End the connection; whoever waits for a message stops waiting. Never raises."""
        # Not SSLSocket's own: for a moment it would let a thread that sends do so unencrypted.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back. Never raises. Not while another thread receives."""
        self.hang_up()
        self._socket.close()
