"""Connections that end while they begin: every one is an unreachable node, and none is left open."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import warnings
from collections.abc import Iterator

import pytest

from nexus_chain.wire.errors import NodeUnreachableError
from nexus_chain.wire.peer import NodeContact
from nexus_chain.wire.tls_peer import dial

pytestmark = pytest.mark.fast


def contact_at(endpoint: str) -> NodeContact:
    return NodeContact("0x" + "11" * 20, endpoint, bytes(32), "0x" + "22" * 20, 0, 1, 1)


@pytest.fixture
def resetting() -> Iterator[str]:
    """The endpoint of a server that resets every connection as soon as it has it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def reset_all() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    thread = threading.Thread(target=reset_all)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_reset_leaves_no_socket_open(resetting: str) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(200):
            with pytest.raises(NodeUnreachableError):
                dial(contact_at(resetting))
        gc.collect()
    assert [str(one.message) for one in seen] == []


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:1", "no such host:1", "127.0.0.1:x", "127.0.0.1:99999999", "127.0.0.1"]
)
def test_an_address_where_nobody_answers(endpoint: str) -> None:
    with pytest.raises(NodeUnreachableError):
        dial(contact_at(endpoint))
