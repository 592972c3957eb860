"""On which processor a connection's thread goes on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from node.daemon.serving import processors
from node.daemon.serving.processors import current_processor, is_neighbour, make_way


def connected(host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), source_address=(host, 0))
        node, _ = listener.accept()
    return client, node


@pytest.fixture
def sides() -> Iterator[tuple[socket.socket, socket.socket]]:
    client, node = connected()
    with client, node:
        yield client, node


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """Where this thread is told that it may work, of processors 0 to 3; it starts on 2."""
    told: list[set[int]] = []
    monkeypatch.setattr(processors, "current_processor", lambda: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, allowed: told.append(set(allowed)))
    return told


class From:
    """A socket whose last message came from one processor."""

    def __init__(self, processor: int) -> None:
        self.processor = processor

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_INCOMING_CPU)
        if self.processor < 0:
            raise OSError("hung up")
        return self.processor


def test_who_sends_from_the_same_machine_is_a_neighbour(sides: tuple[socket.socket, socket.socket]) -> None:
    assert is_neighbour(sides[1])


def test_who_sends_from_another_address_is_none() -> None:
    client, node = connected("127.0.0.2")
    with client, node:
        assert not is_neighbour(node)


def test_nobody_is_where_the_system_does_not_say(
    sides: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "current_processor", lambda: -1)
    assert not is_neighbour(sides[1])


def test_a_thread_leaves_the_processor_that_its_neighbour_sends_from(moves: list[set[int]]) -> None:
    make_way(From(2))  # type: ignore[arg-type]
    assert moves == [{0, 1, 3}, {0, 1, 2, 3}]


@pytest.mark.parametrize("processor", [0, 3, -1])
def test_a_thread_stays_where_its_neighbour_is_not(moves: list[set[int]], processor: int) -> None:
    make_way(From(processor))  # type: ignore[arg-type]
    assert moves == []


def test_a_thread_that_is_allowed_on_one_processor_stays(
    moves: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2})
    make_way(From(2))  # type: ignore[arg-type]
    assert moves == []


def test_the_system_tells_where_a_message_was_sent_from(sides: tuple[socket.socket, socket.socket]) -> None:
    """What the rest stands on: the processor that a neighbour's message came in on is the one that it left from."""
    client, node = sides
    allowed = os.sched_getaffinity(0)
    try:
        for processor in sorted(allowed):
            os.sched_setaffinity(0, {processor})
            client.sendall(b"row")
            assert node.recv(3) == b"row"
            assert node.getsockopt(socket.SOL_SOCKET, socket.SO_INCOMING_CPU) == processor
            assert current_processor() == processor
            make_way(node)  # nowhere else is allowed
            assert os.sched_getaffinity(0) == {processor}
    finally:
        os.sched_setaffinity(0, allowed)
