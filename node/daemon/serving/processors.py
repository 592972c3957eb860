"""Where a connection's thread works: not on the processor that its client works on.

A thread that keeps looking for messages never sleeps, so the system never moves it to a better place. When a client on
the same machine sends, the system likes to wake the receiver on the client's processor. The client then goes on with
its own work, and the node, which has the message, waits for the processor. With a small model on two processors, an
answer through two nodes took half as long again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket

_library = ctypes.CDLL(None)


def is_neighbour(connection: socket.socket) -> bool:
    """Whether the other side is on this machine, and the system tells on which processor. Raises OSError."""
    if current_processor() < 0 or not hasattr(socket, "SO_INCOMING_CPU"):
        return False
    return bool(connection.getsockname()[0] == connection.getpeername()[0])


def make_way(neighbour: socket.socket) -> None:
    """Let the calling thread go on elsewhere if its neighbour (``is_neighbour``) sent its last message from this very
    processor. Afterwards the system may move it to any processor that it was allowed on before. Never raises.
    """
    here = current_processor()
    # A message from this machine itself is received on the processor that sent it.
    with contextlib.suppress(OSError):  # hung up, or a processor was taken away meanwhile
        if neighbour.getsockopt(socket.SOL_SOCKET, socket.SO_INCOMING_CPU) != here:
            return
        allowed = os.sched_getaffinity(0)
        if elsewhere := allowed - {here}:
            os.sched_setaffinity(0, elsewhere)
            os.sched_setaffinity(0, allowed)


def current_processor() -> int:
    """The processor that the calling thread is on; -1 where the system does not say."""
    return int(_library.sched_getcpu()) if hasattr(_library, "sched_getcpu") else -1
