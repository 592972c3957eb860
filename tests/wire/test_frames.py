"""Messages over one connection: when a reader looks for the next one, and when it sleeps."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from nexus_chain.wire import frames
from nexus_chain.wire.frames import LOOK_AGAIN, VAIN_LOOKS, Frames

pytestmark = pytest.mark.fast


class Ends:
    """Both ends of a connection, and how often the receiving one looked."""

    def __init__(self, looks: list[bool]) -> None:
        pair = socket.socketpair()
        self.sender, self.receiver = Frames(pair[0]), Frames(pair[1])
        self._looks = looks

    def pass_on(self, count: int) -> list[bool]:
        """Messages one by one; of each, whether it was looked for."""
        found = []
        for number in range(count):
            self._looks.clear()
            self.sender.send(b"%d" % number, 5.0)
            assert self.receiver.receive(5.0, 5.0, soon=True) == b"%d" % number
            found.append(bool(self._looks))
        return found


@pytest.fixture
def comes() -> list[bool]:
    """Whether whoever looks sees something; the last counts."""
    return [True]


@pytest.fixture
def ends(comes: list[bool], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    looks: list[bool] = []

    def poll() -> SimpleNamespace:
        looks.append(True)
        return SimpleNamespace(register=lambda *_: None, poll=lambda _: comes[-1])

    monkeypatch.setattr(frames, "select", SimpleNamespace(poll=poll, POLLIN=select.POLLIN))
    monkeypatch.setattr(frames, "LOOK_SECONDS", 0.0005)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    made = Ends(looks)
    yield made
    made.sender.close()
    made.receiver.close()


def test_a_reader_looks_as_long_as_messages_come_while_it_does(ends: Ends) -> None:
    assert ends.pass_on(40) == [True] * 40


def test_a_reader_that_looks_in_vain_sleeps_and_looks_again_now_and_then(ends: Ends, comes: list[bool]) -> None:
    comes.append(False)
    looked = ends.pass_on(3 * LOOK_AGAIN)
    assert looked[:VAIN_LOOKS] == [True] * VAIN_LOOKS
    assert [number + 1 for number, one in enumerate(looked) if one][VAIN_LOOKS:] == [
        LOOK_AGAIN, 2 * LOOK_AGAIN, 3 * LOOK_AGAIN
    ]  # fmt: skip


def test_once_a_message_came_while_it_looked_it_goes_on_looking(ends: Ends, comes: list[bool]) -> None:
    comes.append(False)
    ends.pass_on(LOOK_AGAIN - 1)
    comes.append(True)
    assert ends.pass_on(5) == [True] * 5


def test_who_expects_nothing_soon_does_not_look(ends: Ends) -> None:
    ends.sender.send(b"x", 5.0)
    assert ends.receiver.receive(5.0, 5.0) == b"x"
    assert not ends._looks
